"""
The screen of ``top``: asks a source each second, shows what it says, and leaves the terminal as it was.

It has the terminal's second screen, so what was there before is there again afterwards. Keys are not shown
meanwhile; ``q`` ends it, as Ctrl-C does.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

import trio
from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live

from trioecho.cli.stdio import STDIN, read_some
from trioecho.cli.top.rates import Past
from trioecho.cli.top.source import Away, Source
from trioecho.cli.top.view import View
from trioecho.web.status import Status

__all__ = ["INTERVAL", "Screen"]

INTERVAL = 1.0
"""How often to ask (seconds)."""

QUIT = b"q\x04"
"""Keys that end it: q and Ctrl-D."""


class Screen:
    """What ``source`` says, on a terminal. It is drawn anew when the terminal has another size."""

    def __init__(self, source: Source, console: Console) -> None:
        self._source = source
        self._console = console
        self._past = Past()
        self._status: Status | None = None
        self._trouble = ""

    async def run(self) -> None:
        """Show it until a key says that it is enough, or until cancelled."""
        with keys_unseen(), Live(self, console=self._console, screen=True, auto_refresh=False) as live:
            async with trio.open_nursery() as nursery:
                if os.isatty(STDIN):
                    nursery.start_soon(self._wait_for_key, nursery.cancel_scope)
                nursery.start_soon(self._keep_size, live)
                while True:
                    live.refresh()
                    began = trio.current_time()
                    await self._ask()
                    live.refresh()
                    await trio.sleep_until(began + INTERVAL)

    async def _ask(self) -> None:
        try:
            self._status = await self._source.get()
        except Away as away:
            self._trouble = str(away)
            self._past.add_nothing()
        else:
            self._trouble = ""
            self._past.add(self._status)

    async def _keep_size(self, live: Live) -> None:
        """Draw it anew when the terminal has another size."""
        size = self._console.size
        while True:
            await trio.sleep(0.1)
            if self._console.size != size:
                size = self._console.size
                self._console.clear()
                live.refresh()

    async def _wait_for_key(self, scope: trio.CancelScope) -> None:
        while data := await read_some(STDIN):
            if set(data) & set(QUIT):
                break
        else:
            return  # there will be no keys
        scope.cancel()

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw what is there now."""
        now = time.strftime("%H:%M:%S")
        view = View(str(self._source), self._status, self._past, self._trouble, now)
        yield view.render(options.max_width, console.size.height)


@contextmanager
def keys_unseen() -> Iterator[None]:
    """
    Have keys come at once and unseen, for the length of a ``with`` block; Ctrl-C is still a signal.

    Ctrl-Z does nothing meanwhile: a stopped command would leave its screen to the shell.
    """
    try:
        import termios
    except ImportError:  # not POSIX
        yield
        return
    if not os.isatty(STDIN):
        yield
        return
    before = termios.tcgetattr(STDIN)
    changed = termios.tcgetattr(STDIN)
    changed[3] &= ~(termios.ICANON | termios.ECHO)
    changed[6][termios.VSUSP] = b"\0"
    termios.tcsetattr(STDIN, termios.TCSADRAIN, changed)
    try:
        yield
    finally:
        termios.tcsetattr(STDIN, termios.TCSADRAIN, before)
