"""One measurement: a fresh server on one core, the load generator on another."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

from homes import Homes, NotToBeHad
from peers import Peer
from processes import REPOSITORY, free_port, listening, settle

__all__ = ["CORES", "measure"]

CORES = sorted(os.sched_getaffinity(0))
"""The server gets the first, the load generator the last; with one core they share it."""

QUIET = 1.5
"""Seconds after a server has begun to listen: some runtimes go on preparing themselves."""


def measure(
    peer: Peer,
    homes: Homes,
    options: list[str],
    *,
    tls: bool,
    limit: float,
    environment: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, Any]:
    """
    Drive a fresh server once, with these variables in its environment; returns the load generator's report.

    Raises:
        NotToBeHad: the server does not start, or does not do this work within ``limit`` seconds.

    """
    trust: list[str] = []
    with _serving(peer, homes, tls=tls, environment=environment) as (pid, port):
        if tls:
            trust = ["--cacert", str(homes.certificate()[1])]
        url = f"{'wss' if tls else 'ws'}://127.0.0.1:{port}/"
        command = [sys.executable, *peer.load, url, "--json", "--pid", str(pid)]
        try:
            done = subprocess.run(
                [*command, *options, *peer.bench, *trust],
                cwd=REPOSITORY,
                env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
                capture_output=True,
                text=True,
                timeout=limit,
                preexec_fn=lambda: settle(CORES[-1]),
            )
        except subprocess.TimeoutExpired:
            raise NotToBeHad(f"not done within {limit:g} s") from None
        if not done.stdout:
            raise NotToBeHad(done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "no report")
        report: dict[str, Any] = json.loads(done.stdout)
        return report


@contextlib.contextmanager
def _serving(
    peer: Peer, homes: Homes, *, tls: bool, environment: Mapping[str, str]
) -> Iterator[tuple[int, int]]:
    """A fresh server of this peer for as long as the block lasts: its process and its port."""
    command = peer.tls(homes) if tls and peer.tls else peer.prepare(homes)
    port = free_port()
    certificate = [str(homes.certificate()[0])] if tls and not peer.tls else []
    variables = {**os.environ, **environment, **peer.environment(homes)}
    with listening([*command, str(port), *certificate], port, variables, core=CORES[0]) as pid:
        time.sleep(QUIET)
        yield pid, port
