"""What the log says of where a server listens."""

from __future__ import annotations

import os
import socket
from functools import partial
from pathlib import Path

import trio
from helpers.log import LogBook
from helpers.server import kept_log

from trioecho import serve
from trioecho.transport.unix_listener import open_unix_listener
from trioecho.workers.handover import Handover


async def said_of(*metrics: trio.abc.Listener[trio.abc.Stream]) -> list[tuple[str, str]]:
    """Serve the pages for monitoring there, and return what is said of that, and at which level."""
    log = LogBook()
    with kept_log(log), trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            await nursery.start(partial(serve, port=0, metrics_listeners=metrics))
            nursery.cancel_scope.cancel()
    return [(entry["level"], entry["metrics"]) for entry in log.find("listening") if "metrics" in entry]


async def test_a_unix_socket_for_monitoring_is_named_like_any_other_listener(tmp_path: Path) -> None:
    path = str(tmp_path / "m")
    (tcp,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = tcp.socket.getsockname()[1]
    assert await said_of(open_unix_listener(path), tcp) == [
        ("info", f"http+unix:{path}:/metrics"),
        ("info", f"http://127.0.0.1:{port}/metrics"),
    ]


async def test_a_worker_s_socket_for_its_supervisor_is_named_to_nobody_else(tmp_path: Path) -> None:
    path = str(tmp_path / "m")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        listening.listen()
        handed = Handover(-1, os.dup(listening.fileno()), [], [path])
    assert await said_of(handed.metrics_listener()) == [("debug", f"http+unix:{path}:/metrics")]
