"""``trioecho serve --workers``: the command as a supervisor, and as one of its workers."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import AsyncIterator
from importlib.util import find_spec
from pathlib import Path

import trio

from trioecho.options import OptionError
from trioecho.settings import Listening, Settings
from trioecho.transport.listeners import close_listeners, split_address
from trioecho.transport.systemd import inherited_listeners
from trioecho.web.site import Handler
from trioecho.workers.handover import Handover
from trioecho.workers.pages import pages_together
from trioecho.workers.slot import command_again
from trioecho.workers.sockets import one_for_each, shared_with_all
from trioecho.workers.supervisor import supervise

__all__ = ["end_engine", "hold_line", "pages_beside_rooms", "run_supervisor"]


async def run_supervisor(listening: Listening, settings: Settings, signals: AsyncIterator[int]) -> int:
    """
    Run as many workers as are asked for, and return the exit code.

    Raises:
        ListenError: where it should listen, it can't.
        OptionError: there is no engine, or the system can't have workers.

    """
    if os.name != "posix":
        raise OptionError("workers", "needs a POSIX system")
    if find_spec("hiredis") is None:
        raise OptionError("workers", "needs hiredis: pip install 'trioecho[workers]'")
    count = listening.worker_count
    sockets: list[list[socket.socket]] = [[] for _ in range(count)]
    shared: list[trio.abc.Listener[trio.abc.Stream]] = []
    try:
        shared += [] if listening.tcp else [listener for _, listener in inherited_listeners()]
        if listening.unix is not None:
            from trioecho.transport.unix_listener import open_unix_listener

            shared.append(open_unix_listener(listening.unix, mode=int(listening.unix_mode, 8)))
        for own, theirs in zip(sockets, shared_with_all(shared, count), strict=True):
            own += theirs
        if listening.tcp or not shared:
            opened = await one_for_each(listening.host, listening.port, count)
            for own, theirs in zip(sockets, opened, strict=True):
                own += theirs
        metrics = None if listening.metrics_address is None else split_address(listening.metrics_address)
        return await supervise(
            command_again(),
            sockets,
            engine=settings.engine is not None,
            metrics=metrics,
            web=settings,
            signals=signals,
        )
    finally:
        await close_listeners(shared)


def pages_beside_rooms(settings: Settings, handed: Handover) -> dict[str, Handler]:
    """Return the pages for monitoring of all workers, as whichever of them is asked answers them."""
    return pages_together([Path(path) for path in handed.all_metrics], settings, names=False)


async def hold_line(handed: Handover) -> None:
    """Say that this worker is ready; if the supervisor goes, go as well, and end its engine."""
    async with handed.line_stream() as line:
        await line.send_all(b"r")
        try:
            await line.receive_some(1)
        except trio.BrokenResourceError:
            pass
        handed.is_orphan = True
        signal.raise_signal(signal.SIGTERM)
        await trio.sleep_forever()


async def end_engine() -> None:
    """End a private engine whose supervisor is gone."""
    url = os.environ.get("TRIOECHO_PRIVATE_ENGINE")
    if url is not None:
        try:
            with trio.move_on_after(1):
                async with await trio.open_unix_socket(url.removeprefix("unix:")) as stream:
                    await stream.send_all(b"SHUTDOWN NOSAVE\r\n")
        except (OSError, trio.BrokenResourceError):
            pass  # somebody has done it
