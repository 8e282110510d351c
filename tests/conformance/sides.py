"""The two sides of a connection, each with the suite at the other end of it."""

from __future__ import annotations

import re
import socket
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import trio
import trustme
from helpers.server_process import running

from conformance.suite import Suite, SuiteError
from trioecho import ClientError, open_client

__all__ = ["SIDES", "Side"]

LARGEST = "16MiB"
"""The suite's largest message; by default, trioecho takes 1 MiB."""

SERVER = ["--to", "sender", "--max-message-size", LARGEST, "--max-pending-bytes", "64MiB"]
"""A room in which everybody hears only themselves is an echo server, as the suite wants it."""

LIMIT = 3600
"""Seconds for all cases of a side; they take some minutes."""

CASE_LIMIT = 480
"""Seconds for one case of the client's, as many as the suite waits; the longest takes some ten."""

START_LIMIT = 30
"""Seconds until the suite's server listens."""

Run = Callable[[Suite, list[str], Path], Awaitable[int]]


@dataclass(frozen=True)
class Side:
    """A side: :attr:`run` has the suite try it, and returns how many cases there were to run."""

    name: str
    what: str
    run: Run


def _spec(cases: list[str], out: Path, **more: Any) -> dict[str, Any]:
    return {
        "outdir": str(out),
        "cases": cases,
        "exclude-cases": [],
        "exclude-agent-cases": {},
        "options": {},
        **more,
    }


async def _try_server(suite: Suite, cases: list[str], out: Path, *options: str) -> int:
    async with running(*SERVER, *options, patience=LIMIT) as server:
        spec = _spec(cases, out, servers=[{"agent": "trioecho", "url": server.url}])
        async with suite.running("fuzzingclient", spec, out) as process:
            await process.wait()
    told = re.search(r"will run (\d+) test cases", (out / "wstest.log").read_text(errors="replace"))
    if told is None:
        raise SuiteError(f"the suite did not run: it said {Suite.said(out)!r}")
    return int(told[1])


async def try_server(suite: Suite, cases: list[str], out: Path) -> int:
    """Have the fuzzing client try our server."""
    return await _try_server(suite, cases, out)


async def try_server_over_tls(suite: Suite, cases: list[str], out: Path) -> int:
    """Have the fuzzing client try our server over TLS; it takes any certificate."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "cert.pem"
        trustme.CA().issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(path)
        return await _try_server(suite, cases, out, "--tls-cert", str(path))


async def try_client(suite: Suite, cases: list[str], out: Path) -> int:
    """Have our client go through the cases of the fuzzing server."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    url = f"ws://127.0.0.1:{port}"
    async with suite.running("fuzzingserver", _spec(cases, out, url=url), out) as process:
        await _wait_listening(process, port, out)
        async with open_client(f"{url}/getCaseCount") as client:
            count = int(await client.receive())
        for number in range(1, count + 1):
            await _echo(f"{url}/runCase?case={number}&agent=trioecho")
        # It says nothing, writes the reports, and closes without a code.
        await _echo(f"{url}/updateReports?agent=trioecho")
    return count


async def _wait_listening(process: trio.Process, port: int, out: Path) -> None:
    with trio.move_on_after(START_LIMIT):
        while process.poll() is None:
            try:
                await (await trio.open_tcp_stream("127.0.0.1", port)).aclose()
                return
            except OSError:
                await trio.sleep(0.1)
    raise SuiteError(f"the suite's server did not start: it said {Suite.said(out)!r}")


async def _echo(url: str) -> None:
    """Send back every message, until the server ends the connection in whatever way the case is about."""
    with trio.move_on_after(CASE_LIMIT):
        try:
            async with open_client(url, max_message_size=2**24) as client:
                async for message in client:
                    await client.send(message)
        except ClientError:
            pass  # the suite judges what we sent, and has its report


SIDES = [
    Side("server", "trioecho serve, plain", try_server),
    Side("server-tls", "trioecho serve, over TLS", try_server_over_tls),
    Side("client", "trioecho.client", try_client),
]
