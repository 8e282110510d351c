"""
The supervisor: it opens the sockets, runs the engine, and keeps its workers running. It serves no client.

One shutdown is for all: the workers end as a server does, each of them, and the supervisor when they have.
SIGHUP replaces them one after another, so that there is always somebody to accept.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import trio

from trioecho.log import log_event, logger
from trioecho.settings import Web
from trioecho.transport.listener_url import url_of
from trioecho.transport.listeners import close_listeners, open_listeners
from trioecho.transport.systemd import notify, watchdog_interval
from trioecho.workers.pages import pages_together
from trioecho.workers.private_engine import private_engine
from trioecho.workers.slot import Slot, WorkerFailed
from trioecho.workers.together import serve_together

__all__ = ["supervise"]

HANGUP = getattr(signal, "SIGHUP", None)


class Supervisor:
    """All workers of one command; ``failed`` is the exit code of one that could not start."""

    def __init__(self, slots: Sequence[Slot], sockets: Sequence[socket.socket]) -> None:
        self.failed: int | None = None
        self._slots = slots
        self._sockets = sockets
        self._over = trio.Event()
        self._left = len(slots)
        self._replacing = trio.Lock()

    async def run(self, signals: AsyncIterator[int]) -> int:
        """Run until a signal says that it is enough, and return the exit code."""
        async with trio.open_nursery() as nursery:
            for slot in self._slots:
                nursery.start_soon(self._keep, slot)
            nursery.start_soon(self._announce)
            nursery.start_soon(_feed_watchdog)
            code = 0
            async with trio.open_nursery() as listening:
                listening.start_soon(self._wait_over, listening.cancel_scope)
                ending = False
                async for number in signals:
                    if number == HANGUP and not ending:
                        nursery.start_soon(self._replace)
                        continue
                    if number == HANGUP:
                        continue
                    if ending:
                        logger.warning("stopped at once: clients were cut without a close frame")
                        code = 128 + number
                    ending = True
                    self._end(signal.SIGTERM)
            nursery.cancel_scope.cancel()
        return code if self.failed is None else self.failed

    async def _keep(self, slot: Slot) -> None:
        try:
            await slot.run()
        except WorkerFailed as failed:
            if self.failed is None:
                self.failed = failed.code if failed.code > 0 else 1
                self._end(signal.SIGTERM)
        self._left -= 1
        if not self._left:
            self._over.set()

    async def _wait_over(self, scope: trio.CancelScope) -> None:
        await self._over.wait()
        scope.cancel()

    async def _announce(self) -> None:
        for slot in self._slots:
            await slot.ready.wait()
        log_event(logging.INFO, "workers-ready", workers=len(self._slots))
        notify("READY=1")

    async def _replace(self) -> None:
        """Replace workers one after another, once for each time that it is asked for."""
        async with self._replacing:
            notify("RELOADING=1")
            log_event(logging.INFO, "replacing-workers", workers=len(self._slots))
            for slot in self._slots:
                await slot.replace()
            log_event(logging.INFO, "workers-replaced", workers=len(self._slots))
            notify("READY=1")

    def _end(self, number: signal.Signals) -> None:
        """Tell all workers to end; nobody is let in any more."""
        notify("STOPPING=1")
        for one in self._sockets:
            one.close()
        for slot in self._slots:
            slot.end(number)


async def supervise(
    command: Sequence[str],
    sockets: Sequence[Sequence[socket.socket]],
    *,
    engine: bool,
    metrics: tuple[str, int] | None,
    web: Web,
    signals: AsyncIterator[int],
) -> int:
    """
    Run ``command`` once for each of ``sockets``, and return the exit code when all have ended.

    Args:
        command: what starts a worker.
        sockets: what each of them accepts from.
        engine: whether the command names an engine; otherwise there will be a private one.
        metrics: host and port to serve the pages for monitoring on.
        web: which of these there are.
        signals: those that end it, or replace workers (SIGHUP).

    Raises:
        OptionError: there is no engine to run.
        ListenError: the address for metrics cannot be listened on.

    """
    async with AsyncExitStack() as stack:
        variables: dict[str, str] = {}
        listeners = [] if metrics is None else await open_listeners([metrics[0]], metrics[1])
        stack.push_async_callback(close_listeners, listeners)
        if not engine:
            url = await stack.enter_async_context(private_engine())
            variables = {"TRIOECHO_ENGINE": url, "TRIOECHO_PRIVATE_ENGINE": url}
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="trioecho-")))
        paths = [folder / f"metrics{number}.sock" for number in range(len(sockets))]
        slots = []
        for number, (own, path) in enumerate(zip(sockets, paths, strict=True)):
            asked = stack.enter_context(socket.socket(socket.AF_UNIX))
            asked.bind(os.fspath(path))
            asked.listen()
            asked.setblocking(False)
            slots.append(Slot(number, command, own, asked, paths, variables))
        supervisor = Supervisor(slots, list({id(one): one for own in sockets for one in own}.values()))
        nursery = await stack.enter_async_context(trio.open_nursery())
        nursery.start_soon(serve_together, listeners, pages_together(paths, web, names=True))
        for listener in listeners:
            url = url_of(listener).replace("ws:", "http:", 1)
            log_event(logging.INFO, "metrics-together", url=url, metrics=f"{url}metrics")
        code = await supervisor.run(signals)
        nursery.cancel_scope.cancel()
    return code


async def _feed_watchdog() -> None:
    """Tell the service manager that the supervisor's loop still turns."""
    interval = watchdog_interval()
    while interval is not None and notify("WATCHDOG=1"):  # noqa: ASYNC110 - there is no event: time passes
        await trio.sleep(interval)
