"""A slot: the place of one worker, in which there is always a process, or soon will be."""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import trio

from trioecho.log import log_event
from trioecho.nurseries import open_plain_nursery
from trioecho.system_errors import reason_of
from trioecho.workers.handover import VARIABLE, Handover

__all__ = ["Slot", "WorkerFailed", "command_again"]

LONGEST_PAUSE = 30.0
"""How long to wait at most before a worker is started again (seconds): 0, then 1, 2, 4..."""

STABLE = 60.0
"""A worker that has run for so long (seconds) is started again at once."""

NOT_FOR_WORKERS = (
    *("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"),
    *("LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"),
)
"""What systemd says to the supervisor alone."""


class WorkerFailed(Exception):
    """A worker ended before it was ready, and has said itself what can't work; or could not be started."""

    def __init__(self, code: int) -> None:
        super().__init__(f"a worker ended with {code}")
        self.code = code


class Slot:
    """
    The place of one worker.

    Attributes:
        number: which worker, from 0.
        ready: set once there has been a worker that serves.
        metrics: the socket that it serves the pages for monitoring on.

    """

    def __init__(
        self,
        number: int,
        command: Sequence[str],
        sockets: Sequence[socket.socket],
        metrics: socket.socket,
        all_metrics: Sequence[Path],
        variables: Mapping[str, str],
    ) -> None:
        self.number = number
        self.ready = trio.Event()
        self.metrics = metrics
        self._command = list(command)
        self._sockets = sockets
        self._all_metrics = all_metrics
        self._variables = variables
        self._process: trio.Process | None = None
        self._running: set[trio.Process] = set()  # that, and one that it replaces or failed to
        self._served = False  # whether any worker was ever ready here
        self._ending = trio.Event()

    async def run(self) -> None:
        """
        Keep a worker in its place, until it was told to end and has ended.

        Raises:
            WorkerFailed: it ended before any was ready.

        """
        async with open_plain_nursery() as nursery:
            self._nursery = nursery
            pause, began = 0.0, trio.current_time()
            process: trio.Process | None = await self._start_first()
            while process is not None:
                code = await process.wait()
                if self._ending.is_set():
                    for running in self._running:
                        await running.wait()
                    break
                if self._process is not None and self._process is not process:  # it has a successor
                    process, began = self._process, trio.current_time()
                    continue
                if not self._served:
                    raise WorkerFailed(code)
                pause = 0.0 if trio.current_time() - began > STABLE else pause
                log_event(logging.ERROR, "worker-died", worker=self.number, code=code, again_in=pause)
                process = await self._start_again(pause)
                pause, began = _longer(pause), trio.current_time()
            nursery.cancel_scope.cancel()

    async def replace(self) -> None:
        """Start a successor, and when it is ready let the one that is there end, and wait for that."""
        before = self._process
        if before is None or self._ending.is_set() or before.poll() is not None:
            return
        ready = trio.Event()
        try:
            process = await self._start(ready)
        except OSError as error:
            log_event(logging.ERROR, "worker-not-replaced", worker=self.number, reason=reason_of(error))
            return
        while not ready.is_set() and process.poll() is None:  # noqa: ASYNC110 - whichever comes first
            await trio.sleep(0.02)
        if self._ending.is_set():
            return
        if not ready.is_set():
            self._process = before
            log_event(logging.ERROR, "worker-not-replaced", worker=self.number, code=process.returncode)
            return
        before.terminate()
        await before.wait()

    async def _start_first(self) -> trio.Process | None:
        """
        Start the first worker; ``None``: it is to end already.

        Raises:
            WorkerFailed: the system can't.

        """
        try:
            return await self._start(self.ready)
        except OSError as error:
            if self._ending.is_set():
                return None
            log_event(logging.ERROR, "worker-not-started", worker=self.number, reason=reason_of(error))
            raise WorkerFailed(1) from None

    async def _start_again(self, pause: float) -> trio.Process | None:
        """Start another after a pause, and after longer ones while the system can't; ``None``: it ends."""
        while True:
            with trio.move_on_after(pause):
                await self._ending.wait()
            if self._ending.is_set():
                return None
            try:
                return await self._start(trio.Event())
            except OSError as error:
                pause, reason = _longer(pause), reason_of(error)
                number = self.number
                log_event(logging.ERROR, "worker-not-started", worker=number, reason=reason, again_in=pause)

    async def _start(self, ready: trio.Event) -> trio.Process:
        """
        Start a worker, which sets ``ready`` when it is. If all are to end by then, it is ended at once.

        Raises:
            OSError: the system has no files, no memory or no processes left, or can't run the command.

        """
        ours, theirs = socket.socketpair()
        handed = Handover(
            theirs.fileno(),
            self.metrics.fileno(),
            [one.fileno() for one in self._sockets],
            [str(path) for path in self._all_metrics],
        )
        inherited = {name: value for name, value in os.environ.items() if name not in NOT_FOR_WORKERS}
        try:
            process = await trio.lowlevel.open_process(
                self._command,
                env={**inherited, **self._variables, VARIABLE: str(handed)},
                pass_fds=(handed.line, handed.metrics, *handed.sockets),
                start_new_session=True,  # signals of the terminal are for the supervisor
            )
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        if self._ending.is_set():  # nobody could tell it
            ours.close()
            process.kill()
            return process
        self._process = process
        self._running = {one for one in self._running if one.poll() is None} | {process}
        self._nursery.start_soon(self._hear, ours, ready)
        return process

    async def _hear(self, line: socket.socket, ready: trio.Event) -> None:
        """Hear that a worker is ready; keep the line for as long as it runs."""
        stream = trio.SocketStream(trio.socket.from_stdlib_socket(line))
        async with stream:
            try:
                if await stream.receive_some(1):
                    self._served = True
                    ready.set()
                    await stream.receive_some(1)
            except trio.BrokenResourceError:
                pass  # it died

    def end(self, number: signal.Signals) -> None:
        """Tell the worker to end, and start no other."""
        self._ending.set()
        for process in self._running:
            if process.poll() is None:
                process.send_signal(number)


def _longer(pause: float) -> float:
    """Return how long to wait the next time."""
    return min(max(1.0, pause * 2), LONGEST_PAUSE)


def command_again() -> list[str]:
    """Return the command line that this process was started with, for a worker."""
    return [sys.executable, "-m", "trioecho", *sys.argv[1:]]
