"""
A client between two pipes: records of standard input are sent, messages are written to standard output.

Nothing but messages goes to standard output. A slow reader of it slows the server down, and a slow server the
writer of standard input; what is held in between is bounded.
"""

from __future__ import annotations

import os
from contextlib import aclosing

import trio

from trioecho.cli.client.formats import Format
from trioecho.cli.client.records import records
from trioecho.cli.errors import Failure
from trioecho.cli.stdio import STDIN, STDOUT, write_all
from trioecho.client import Client, ConnectionClosed
from trioecho.system_errors import reason_of

__all__ = ["Pipe"]

NORMAL = 1000


class Pipe:
    """
    One run of a client over standard input and output.

    ``stay``: go on after standard input has ended. ``count``: end when so many messages are written.
    ``timeout``: end when for so many seconds no message has come or gone. ``sends``: read standard input.
    """

    def __init__(
        self, form: Format, *, stay: bool, count: int | None, timeout: float | None, sends: bool = True
    ) -> None:
        self._form = form
        self._stay = stay or count is not None or timeout is not None
        self._count = count
        self._timeout = timeout
        self._sends = sends
        self._sent_all = not sends
        self._written = 0
        self._problem: Failure | None = None
        self._silence = trio.CancelScope()

    async def run(self, client: Client) -> str | None:
        """
        Send and write until one side has ended, or there was enough; returns None.

        Raises:
            Failure: input that cannot be sent, a connection that ended before its time, fewer messages than
                asked for.

        """
        with self._silence:
            self._restart_silence()
            async with trio.open_nursery() as nursery:
                if self._sends:
                    nursery.start_soon(self._send, client)
                await self._write(client)
                nursery.cancel_scope.cancel()
        self._check(client)
        return None

    async def _write(self, client: Client) -> None:
        try:
            while self._count is None or self._written < self._count:
                messages = await client.receive_batch()
                if self._count is not None:
                    messages = messages[: self._count - self._written]
                self._restart_silence()
                await write_all(STDOUT, b"".join(map(self._form.encode, messages)))
                self._written += len(messages)
                self._restart_silence()
        except ConnectionClosed:
            return  # What that means is decided at the end.
        except BrokenPipeError:
            # Whoever read us has enough: that is how `| head` ends us. Python must not flush into it again.
            self._count = None
            os.dup2(os.open(os.devnull, os.O_WRONLY), STDOUT)
        except OSError as error:
            self._problem = Failure(f"standard output cannot be written: {reason_of(error)}")

    async def _send(self, client: Client) -> None:
        try:
            async with aclosing(records(self._form.separator)) as given:
                async for number, record in given:
                    await client.send(self._decode(number, record))
                    self._restart_silence()
            self._sent_all = True
        except ConnectionClosed:
            return  # Whoever receives is told the same.
        except Failure as problem:
            self._problem = problem
        except OSError as error:
            self._problem = Failure(f"standard input cannot be read: {reason_of(error)}")
        if self._problem or not self._stay:
            await client.close()

    def _decode(self, number: int, record: bytes) -> str | bytes:
        try:
            return self._form.decode(record)
        except ValueError as error:
            raise Failure(f"record {number} of standard input {error}") from None

    def _restart_silence(self) -> None:
        """A message came or went: the time without any begins anew."""
        if self._timeout is not None:
            self._silence.deadline = trio.current_time() + self._timeout

    def _check(self, client: Client) -> None:
        ended = client.close_info
        if self._problem is not None:
            raise self._problem
        if ended and not ended.by_us and (ended.code != NORMAL or not ended.clean or ended.unsent):
            raise Failure(str(ended.error()))
        if ended and not ended.by_us and not self._sent_all and not os.isatty(STDIN):
            raise Failure(f"{ended.sentence}, before all of standard input was sent")
        if self._count is not None and self._written < self._count:
            why = f" within {self._timeout:g} s of silence" if self._silence.cancelled_caught else ""
            raise Failure(f"{self._written} of {self._count} messages came{why}")
