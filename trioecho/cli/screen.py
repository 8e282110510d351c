"""The terminal of a person who types while messages arrive: a prompt at the bottom, all else above it."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import trio
from prompt_toolkit import PromptSession
from prompt_toolkit.application import run_in_terminal
from prompt_toolkit.formatted_text import ANSI
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent

__all__ = ["Screen"]

KEPT_HISTORY = 256 * 1024
"""How much history is kept between runs (bytes); the oldest goes first."""

REFRESH = 1.0
"""How often the status line is drawn anew (seconds)."""

LOOK_AGAIN = 0.02
"""How soon to look again whether a prompt that is to end has begun (seconds)."""


class Screen:
    """
    A prompt in a thread of its own, and a way to print above it from trio.

    ``status`` gives the text of the status line.
    """

    def __init__(self, status: Callable[[], str]) -> None:
        self._session: PromptSession[str] = PromptSession(
            history=_history(),
            bottom_toolbar=lambda: ANSI(status()),
            refresh_interval=REFRESH,
            key_bindings=_keys(),
            erase_when_done=True,
        )

    async def ask(self, prompt: str) -> str | None:
        """
        Let the person write one message, which may have several lines; None: Ctrl-D or Ctrl-C.

        Cancelled, the prompt is taken away and the terminal is as it was before.
        """
        answered = trio.Event()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._end_when_cancelled, answered)
            with trio.CancelScope(shield=True):
                answer = await trio.to_thread.run_sync(self._prompt, prompt)
            answered.set()
            nursery.cancel_scope.cancel()
        return answer

    def _prompt(self, prompt: str) -> str | None:
        try:
            return self._session.prompt(ANSI(prompt))
        except (EOFError, KeyboardInterrupt):
            return None

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
        token = trio.lowlevel.current_trio_token()

        def write() -> None:
            written.set()
            if sys.__stdout__ is not None:
                sys.__stdout__.write(text)
                sys.__stdout__.flush()

        def in_prompt() -> None:
            asyncio.ensure_future(run_in_terminal(write)).add_done_callback(
                lambda _: token.run_sync_soon(over.set)
            )

        if self._in_prompt(in_prompt):
            while not over.is_set() and self._session.app.is_running:
                with trio.move_on_after(LOOK_AGAIN):
                    await over.wait()
        if not written.is_set():
            write()

    def _in_prompt(self, action: Callable[[], None]) -> bool:
        """Do something in the prompt's thread; False if there is none."""
        loop: asyncio.AbstractEventLoop | None = self._session.app.loop
        if loop is None or not self._session.app.is_running:
            return False
        try:
            loop.call_soon_threadsafe(action)
        except RuntimeError:  # closed meanwhile
            return False
        return True


def _keys() -> KeyBindings:
    keys = KeyBindings()

    @keys.add("escape", "enter")
    def new_line(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text("\n")

    return keys


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
