"""
A client between two pipes: lines of standard input are sent, messages are printed on standard output.

Nothing but messages goes to standard output. A slow reader of it slows the server down, and a slow server the
writer of standard input; what is held in between is bounded.
"""

from __future__ import annotations

import base64
import os
from collections.abc import AsyncIterator

import trio

from trioecho.cli.errors import Failure
from trioecho.cli.stdio import read_some, write_all
from trioecho.client import Client, ConnectionClosed

__all__ = ["Pipe"]

STDIN, STDOUT = 0, 1

NORMAL = 1000

MAX_LINE = 64 * 1024 * 1024
"""The longest line of standard input that is sent (bytes); a longer one is an error, and nothing is cut."""


class Pipe:
    """One run of a client over standard input and output."""

    def __init__(self, *, stay: bool) -> None:
        self._stay = stay
        self._problem: Failure | None = None
        self._all_sent = False

    async def run(self, client: Client) -> None:
        """
        Send and print until one side has ended.

        Raises:
            Failure: input that cannot be sent, or a connection that ended before its time.

        """
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._send, client)
            await self._print(client)
            nursery.cancel_scope.cancel()
        end = client.end
        if self._problem is not None:
            raise self._problem
        if end is None or (end.by_us and not end.unsent):
            return
        if not end.polite or end.code != NORMAL or end.unsent:
            raise Failure(str(end.error()))
        if not self._all_sent and not os.isatty(STDIN):
            raise Failure(f"{end.sentence}, before all of standard input was sent")

    async def _print(self, client: Client) -> None:
        try:
            while True:
                await write_all(STDOUT, b"".join(map(as_line, await client.receive_batch())))
        except ConnectionClosed:
            return  # What that means depends on the end, which is looked at when all is done.
        except BrokenPipeError:
            # Whoever read us has enough: that is how `| head` ends us. Python must not flush into it again.
            os.dup2(os.open(os.devnull, os.O_WRONLY), STDOUT)

    async def _send(self, client: Client) -> None:
        try:
            async for line in lines():
                await client.send(line)
        except ConnectionClosed:
            return  # Whoever receives is told the same, and tells why.
        except Failure as problem:
            self._problem = problem
        self._all_sent = True
        if self._problem or not self._stay:
            await client.close()


async def lines() -> AsyncIterator[str]:
    """
    Standard input, line by line, without the newlines; a last line without one counts too.

    Raises:
        Failure: a line is not UTF-8 or too long.

    """
    rest = bytearray()
    number = 0
    while chunk := await read_some(STDIN):
        rest += chunk
        if b"\n" in chunk:
            whole, _, rest = rest.rpartition(b"\n")
            for line in whole.split(b"\n"):
                number += 1
                yield decode(line, number)
        elif len(rest) > MAX_LINE:
            raise Failure(f"line {number + 1} of standard input is longer than {MAX_LINE} bytes")
    if rest:
        yield decode(rest, number + 1)


def decode(line: bytes | bytearray, number: int) -> str:
    """Take a line as text."""
    try:
        return line.decode()
    except UnicodeDecodeError:
        raise Failure(f"line {number} of standard input is not UTF-8 text") from None


def as_line(message: str | bytes) -> bytes:
    """A message as it is printed: text as it is, binary in base64, so that a terminal survives it."""
    return (message.encode() if isinstance(message, str) else base64.b64encode(message)) + b"\n"
