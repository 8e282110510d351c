"""A client at a terminal: a person types messages and commands, and sees what arrives."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime

import trio
from prompt_toolkit.patch_stdout import patch_stdout

from trioecho.cli.client.notices import DIM, PLAIN, duration
from trioecho.cli.client.screen import Screen
from trioecho.cli.errors import Failure
from trioecho.client import Client, ConnectionClosed, Reconnecting
from trioecho.protocol.escape import escape
from trioecho.system_errors import reason_of

__all__ = ["Terminal"]

COMMANDS = """\
/ping                   measure the round trip
/binary FILE            send a file as one binary message
/room NAME              move to another room (another path on the same server)
/close [CODE] [REASON]  close with this code (1000, or 3000 to 4999)
/quit                   close and exit, as Ctrl-D and Ctrl-C do
//text                  send a message that begins with a slash
Alt-Enter begins a new line, Ctrl-R searches the history, Ctrl-Z suspends.
"""

MEASURE_EVERY = 10.0
"""How often the round trip is measured for the status line (seconds)."""

MAX_FILE = 64 * 1024 * 1024
"""The largest file that is sent (bytes)."""

SHOWN_BYTES = 32
"""How much of a binary message is shown (bytes)."""

IN, OUT, CODE = "\033[36m◂\033[0m", "\033[32m▸\033[0m", 1000


class Terminal:
    """One run of a client at a terminal."""

    def __init__(self) -> None:
        self._next_room: str | None = None
        self._screen = Screen("> ", self._status)
        self._client: Client | None = None
        self._since = datetime.now()
        self._received = self._sent = 0
        self._round_trip: float | None = None
        self._down_since: datetime | None = None

    async def run(self, client: Client) -> str | None:
        """
        Talk until the person quits or the connection has ended.

        Returns the room to go to next, if any.

        Raises:
            Failure: the connection ended otherwise than by 1000 or by us.

        """
        self._next_room, self._client, self._round_trip = None, client, None
        self._since, self._received, self._sent, self._down_since = datetime.now(), 0, 0, None
        with patch_stdout(raw=True):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._show_messages, client, nursery.cancel_scope)
                nursery.start_soon(self._measure, client)
                nursery.start_soon(self._run_screen, client, nursery.cancel_scope)
                await self._read(client)
                nursery.cancel_scope.cancel()
        ended = client.close_info
        if ended and not ended.by_us and (ended.code != CODE or not ended.clean):
            raise Failure(str(ended.error()))
        return self._next_room

    async def _show_messages(self, client: Client, everything: trio.CancelScope) -> None:
        with suppress(ConnectionClosed):
            while True:
                messages = await client.receive_batch()
                self._received += len(messages)
                await self._screen.show("".join(self._line(IN, message) for message in messages))
        everything.cancel()

    async def _run_screen(self, client: Client, everything: trio.CancelScope) -> None:
        """Let the person type; afterwards what was typed ahead is sent, unless there is no connection."""
        await self._screen.run()
        if isinstance(client.state, Reconnecting):
            everything.cancel()

    async def _measure(self, client: Client) -> None:
        while client.close_info is None:
            self._round_trip = None
            with suppress(ConnectionClosed):
                self._round_trip = await client.ping()
            await trio.sleep(MEASURE_EVERY)

    async def _read(self, client: Client) -> None:
        with suppress(ConnectionClosed):
            while (text := await self._screen.typed()) is not None:
                if text.startswith("/") and not text.startswith("//"):
                    if not await self._command(client, *text[1:].split(maxsplit=1)):
                        return
                elif text:
                    await self._send(client, text.removeprefix("/") if text.startswith("//") else text)

    async def _send(self, client: Client, message: str | bytes) -> None:
        try:
            await client.send(message)
        except UnicodeEncodeError:
            return await self._screen.show("that is not text which UTF-8 can encode\n")
        self._sent += 1
        await self._screen.show(self._line(OUT, message))

    async def _command(self, client: Client, name: str = "", argument: str = "") -> bool:
        """Carry out a command; False: it ends this connection."""
        match name:
            case "quit":
                return False
            case "ping":
                await self._ping(client)
            case "binary" if argument:
                await self._send_file(client, argument)
            case "room" if argument:
                self._next_room = argument
                return False
            case "close":
                return not await self._close(client, *argument.split(maxsplit=1))
            case _:
                await self._screen.show(COMMANDS)
        return True

    async def _ping(self, client: Client) -> None:
        try:
            self._round_trip = await client.ping()
        except ConnectionClosed as error:
            await self._screen.show(f"{error}\n")
        else:
            await self._screen.show(f"{self._round_trip * 1000:.2f} ms\n")

    async def _close(self, client: Client, code: str = "1000", reason: str = "") -> bool:
        if not code.isdecimal() or (int(code) != CODE and not 3000 <= int(code) <= 4999):
            await self._screen.show("a close code is 1000, or from 3000 to 4999\n")
            return False
        try:
            await client.close(int(code), reason)
        except ValueError:
            await self._screen.show("that reason is too long, or is not text which UTF-8 can encode\n")
            return False
        return True

    async def _send_file(self, client: Client, path: str) -> None:
        try:
            async with await trio.open_file(path, "rb") as file:
                content = await file.read(MAX_FILE + 1)
        except ValueError:  # a NUL or half a character in the name
            return await self._screen.show("that is not the name of a file\n")
        except OSError as error:
            return await self._screen.show(f"{escape(path)} cannot be read: {reason_of(error)}\n")
        if len(content) > MAX_FILE:
            return await self._screen.show(f"{path} is larger than {MAX_FILE} bytes\n")
        await self._send(client, content)

    def _line(self, direction: str, message: str | bytes) -> str:
        """Format a message with its time and direction; further lines of it are indented."""
        if isinstance(message, bytes):
            dots = "…" if len(message) > SHOWN_BYTES else ""
            text = f"[{len(message)} bytes] {message[:SHOWN_BYTES].hex(' ')}{dots}"
        else:
            text = escape(message).replace("\n", "\n           ")
        return f"{DIM}{datetime.now():%H:%M:%S}{PLAIN} {direction} {text}\n"

    def _status(self) -> str:
        if self._client is None:
            return ""
        now = datetime.now()
        counts = f"in {self._received} · out {self._sent}"
        if isinstance(state := self._client.state, Reconnecting):
            self._down_since = self._down_since or now
            down = duration((now - self._down_since).total_seconds())
            return f" {self._client.address} · away for {down}, attempt {state.attempt} · {counts} · /help"
        self._down_since = None
        lasted = duration((now - self._since).total_seconds())
        trip = "" if self._round_trip is None else f" · {self._round_trip * 1000:.1f} ms"
        return f" {self._client.address} · {lasted} · {counts}{trip} · /help"
