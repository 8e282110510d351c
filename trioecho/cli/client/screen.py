"""The terminal of a person who types while messages arrive: a prompt at the bottom, all else above."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import trio
from prompt_toolkit import PromptSession
from prompt_toolkit.application import run_in_terminal
from prompt_toolkit.enums import DEFAULT_BUFFER
from prompt_toolkit.filters import has_focus
from prompt_toolkit.formatted_text import ANSI
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent

__all__ = ["Screen"]

KEPT_HISTORY = 256 * 1024
"""How much history is kept between runs (bytes); the oldest goes first."""

REFRESH = 1.0
"""How often the status line is redrawn (seconds)."""

MOST_TYPED = 100
"""How many messages may be typed ahead of a slow server; then the terminal beeps, and keeps the text."""

STOPPING = 0.05
"""How long it takes at most until a process that was told to stop has stopped (seconds)."""

LOOK_AGAIN = 0.02
"""How soon to look again whether a prompt that is to end has begun (seconds)."""


class Screen:
    """
    A prompt in a thread of its own, and a way to print above it from trio.

    One prompt lasts as long as the work with a connection: between two of them the terminal would be in its
    ordinary mode, and keys typed then would be lost. ``status`` gives the text of the status line.
    """

    def __init__(self, prompt: str, status: Callable[[], str]) -> None:
        self._prompt = prompt
        self._typed: deque[str] = deque()
        self._over = False
        self._turn = trio.Lock()
        self._wake = trio.Event()
        self._token: trio.lowlevel.TrioToken | None = None
        self._session: PromptSession[str] = PromptSession(
            history=_history(),
            bottom_toolbar=lambda: ANSI(status()),
            refresh_interval=REFRESH,
            key_bindings=self._keys(),
            erase_when_done=True,
        )

    async def run(self) -> None:
        """
        Let the person type, until Ctrl-D or Ctrl-C.

        Cancelled, the prompt is taken away and the terminal is as it was before.
        """
        self._over, self._token = False, trio.lowlevel.current_trio_token()
        answered = trio.Event()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._end_when_cancelled, answered)
            with trio.CancelScope(shield=True):
                await trio.to_thread.run_sync(self._ask)
            answered.set()
            nursery.cancel_scope.cancel()
        self._over = True
        self._wake.set()

    async def typed(self) -> str | None:
        """Wait for the next message that was typed, of one line or several; None: there will be none."""
        while not self._typed:
            if self._over:
                return None
            self._wake = trio.Event()
            await self._wake.wait()
        return self._typed.popleft()

    def _ask(self) -> None:
        with suppress(EOFError, KeyboardInterrupt):
            self._session.prompt(ANSI(self._prompt))

    def _keys(self) -> KeyBindings:
        keys = KeyBindings()

        @keys.add("enter", filter=has_focus(DEFAULT_BUFFER))
        def take(event: KeyPressEvent) -> None:
            buffer = event.current_buffer
            if len(self._typed) >= MOST_TYPED:
                return event.app.output.bell()
            self._typed.append(buffer.text)
            buffer.append_to_history()
            buffer.reset()
            if self._token is not None:
                self._token.run_sync_soon(lambda: self._wake.set())

        @keys.add("escape", "enter")
        def new_line(event: KeyPressEvent) -> None:
            event.current_buffer.insert_text("\n")

        @keys.add("c-z")
        def suspend(event: KeyPressEvent) -> None:
            # The terminal is in its ordinary mode meanwhile, and back in the prompt's afterwards.
            run_in_terminal(_suspend)

        return keys

    async def _end_when_cancelled(self, answered: trio.Event) -> None:
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                while not answered.is_set():
                    self._in_prompt(self._end_prompt)
                    with trio.move_on_after(LOOK_AGAIN):
                        await answered.wait()

    def _end_prompt(self) -> None:
        app = self._session.app
        if app.is_running and app.future is not None and not app.future.done():
            app.exit(exception=EOFError)

    async def show(self, text: str) -> None:
        """Print above the prompt, and wait until it stands there: a slow terminal slows its server."""
        written, over = threading.Event(), trio.Event()
        token, app = trio.lowlevel.current_trio_token(), self._session.app

        def write() -> None:
            written.set()
            if sys.__stdout__ is not None:
                sys.__stdout__.write(text)
                sys.__stdout__.flush()

        async def write_above() -> None:
            # prompt-toolkit's own `run_in_terminal` leaves raw mode meanwhile, and keys get lost. Where the
            # terminal says its cursor is must be true when the prompt is drawn anew, so it is waited for.
            await app.renderer.wait_for_cpr_responses()
            app.renderer.erase()
            write()
            app.renderer.reset()
            app.renderer.request_absolute_cursor_position()
            app.invalidate()
            await app.renderer.wait_for_cpr_responses()
            token.run_sync_soon(over.set)

        async with self._turn:
            if self._in_prompt(lambda: app.create_background_task(write_above())):
                while not over.is_set() and app.is_running:
                    with trio.move_on_after(LOOK_AGAIN):
                        await over.wait()
            if not written.is_set():
                write()

    def _in_prompt(self, action: Callable[[], object]) -> bool:
        """Do something in the prompt's thread; False if there is none."""
        loop: asyncio.AbstractEventLoop | None = self._session.app.loop
        if loop is None or not self._session.app.is_running:
            return False
        try:
            loop.call_soon_threadsafe(action)
        except RuntimeError:  # closed meanwhile
            return False
        return True


def _suspend() -> None:
    """Stop this command and the others of its job, until the shell's `fg`; returns after that."""
    os.kill(0, signal.SIGTSTP)
    # The signal may go to another thread, which takes a moment to stop this one.
    time.sleep(STOPPING)


def _history() -> History:
    """
    Keep what was typed in a file that only its owner can read, as the shell does.

    In ``$XDG_STATE_HOME/trioecho/history``; where that cannot be written, it is kept for this run only.
    """
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    path = Path(state) / "trioecho" / "history"
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.touch(mode=0o600)
        if path.stat().st_size > KEPT_HISTORY:
            path.write_bytes(path.read_bytes()[-KEPT_HISTORY:].partition(b"\n\n")[2])
    except OSError:
        return InMemoryHistory()
    return FileHistory(str(path))
