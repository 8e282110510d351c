"""One measurement: a fresh server on one core, the load generator on another."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

from homes import Homes, NotToBeHad
from peers import REPOSITORY, Peer

__all__ = ["CORES", "measure"]

CORES = sorted(os.sched_getaffinity(0))
"""The server gets the first, the load generator the last; with one core they share it."""

START_LIMIT = 20
"""Seconds in which a server must be listening."""

QUIET = 1.5
"""Seconds after a server has begun to listen: some runtimes go on preparing themselves."""

STOP_LIMIT = 5
"""Seconds in which a server may end by itself once it is asked to."""


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
    with _serving(peer, homes, tls=tls, environment=environment) as (server, port):
        if tls:
            trust = ["--cacert", str(homes.certificate()[1])]
        url = f"{'wss' if tls else 'ws'}://127.0.0.1:{port}/"
        command = [sys.executable, *peer.load, url, "--json", "--pid", str(server.pid)]
        try:
            done = subprocess.run(
                [*command, *options, *peer.bench, *trust],
                cwd=REPOSITORY,
                env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
                capture_output=True,
                text=True,
                timeout=limit,
                preexec_fn=lambda: _settle(CORES[-1]),
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
) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A fresh server of this peer for as long as the block lasts, with its port."""
    command = peer.tls(homes) if tls and peer.tls else peer.prepare(homes)
    port = _free_port()
    certificate = [str(homes.certificate()[0])] if tls and not peer.tls else []
    with tempfile.TemporaryFile() as said:
        server = subprocess.Popen(
            [*command, str(port), *certificate],
            cwd=REPOSITORY,
            env={**os.environ, **environment, **peer.environment(homes)},
            stdout=said,
            stderr=said,
            preexec_fn=lambda: _settle(CORES[0]),
        )
        try:
            if not _listening(server, port):
                said.seek(0)
                lines = said.read().decode(errors="replace").strip().splitlines()
                raise NotToBeHad(f"it did not start: {lines[-1] if lines else 'it said nothing'}")
            time.sleep(QUIET)
            yield server, port
        finally:
            server.terminate()
            try:
                server.wait(STOP_LIMIT)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


def _settle(core: int) -> None:
    """In the new process: stay on this core, and have as many open files as may be."""
    os.sched_setaffinity(0, {core})
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def _listening(server: subprocess.Popen[bytes], port: int) -> bool:
    deadline = time.monotonic() + START_LIMIT
    while server.poll() is None and time.monotonic() < deadline:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1):
                return True
        except OSError:
            time.sleep(0.05)
    return False
