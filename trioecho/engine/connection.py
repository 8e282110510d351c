"""
One connection to an engine: Redis' protocol, version 3, on a trio stream.

Commands, replies and pushes share one connection, so all of them have one order: what is pushed after a
reply was pushed after the command was carried out. That takes every race out of reading a log and being
told of what is added to it. Replies are given to callbacks, in that order, because a task for each command
would cost thirty times as much.

hiredis parses and packs; it does no I/O.
"""

from __future__ import annotations

import ssl
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import hiredis
import trio

from trioecho.engine.encryption import tls_trouble
from trioecho.engine.errors import EngineLost, EngineRefused
from trioecho.transport.socket_stream import PlainSocket

__all__ = ["SILENCE", "Connection"]

SILENCE = 2.0
"""After so many seconds without a word the engine is pinged, and given up after as many more: a restart or a
failover takes about as long."""

READ_BYTES = 64 * 1024
"""One read takes at most this much: hiredis is four times slower with larger ones."""

WRITE_BYTES = 256 * 1024
"""One write takes about this much."""

LONGEST_ERROR = 200
"""How much of an error of the engine's is shown (characters)."""

NOTHING = object()
"""What hiredis returns when a reply is not complete; its own default is a value that a reply may have."""

Reply = Any
Then = Callable[[Reply], None]


class Connection:
    """
    A connection over ``stream``; ``on_push`` gets what is pushed, as channel and message.

    Attributes:
        heard_at: when the engine was last heard (trio time).
        round_trip: how long the last ping took (seconds).

    """

    def __init__(self, stream: trio.abc.Stream, on_push: Callable[[bytes, bytes], None]) -> None:
        self.heard_at = trio.current_time()
        self.round_trip = 0.0
        self._stream = stream
        self._on_push = on_push
        self._reader = hiredis.Reader(notEnoughData=NOTHING)
        # Who waits for the replies to come, in their order; and how many confirmations are still to come for
        # a subscription, which is answered by a push for each channel.
        self._waiting: deque[Then | _Confirmations] = deque()
        self._out: deque[bytes] = deque()
        self._wake = trio.Event()
        self._writing = False
        self._silent = True  # it has not said a word yet

    def send(self, *words: bytes, then: Then) -> None:
        """
        Send a command without waiting; its reply, if it is no error, is given to ``then``.

        An error ends the connection.
        """
        self._send(words, then)

    def subscribe(self, channels: Sequence[bytes]) -> None:
        """Have the messages of channels pushed, until :meth:`unsubscribe`."""
        if channels:
            self._send((b"SUBSCRIBE", *channels), _Confirmations(len(channels)))

    def unsubscribe(self, channels: Sequence[bytes]) -> None:
        """Have no more of them pushed."""
        if channels:
            self._send((b"UNSUBSCRIBE", *channels), _Confirmations(len(channels)))

    async def call(self, *words: bytes) -> Reply:
        """
        Send a command and return its reply.

        Raises:
            EngineRefused: the reply is an error.

        Only while :meth:`run` runs, which raises when the connection is lost.

        """
        replied = trio.Event()
        replies: list[Reply] = []

        def take(reply: Reply) -> None:
            replies.append(reply)
            replied.set()

        self._send(words, _Caught(take))
        await replied.wait()
        if isinstance(replies[0], hiredis.ReplyError):
            raise _refused(replies[0])
        return replies[0]

    def _send(self, words: Sequence[bytes], then: Then | _Confirmations) -> None:
        packed: bytes = hiredis.pack_command(tuple(words))  # type: ignore[arg-type]  # of any length
        alone = not self._waiting
        self._waiting.append(then)
        if alone and not self._out and not self._writing and isinstance(self._stream, PlainSocket):
            # A lone command needs no trip through the scheduler; under load, many are written together.
            try:
                written = self._stream.send(packed)
            except OSError:  # no space, or broken: the writer finds out which
                written = 0
            if written == len(packed):
                return
            packed = packed[written:]
        self._out.append(packed)
        self._wake.set()

    async def run(self) -> None:
        """
        Read and write until the connection is lost.

        Raises:
            EngineLost: always, with the reason.

        """
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._write)
                nursery.start_soon(self._watch)
                await self._read()
        except* (trio.BrokenResourceError, trio.ClosedResourceError, OSError) as group:
            raise EngineLost(_why_broken(group) or self._ended("the connection broke")) from None
        except* hiredis.ProtocolError:
            raise EngineLost("it does not speak the protocol of Redis") from None

    async def _write(self) -> None:
        while True:
            if not self._out:
                self._wake = trio.Event()
                await self._wake.wait()
            parts: list[bytes] = []
            size = 0
            while self._out and size < WRITE_BYTES:
                parts.append(self._out.popleft())
                size += len(parts[-1])
            self._writing = True
            try:
                await self._stream.send_all(b"".join(parts))
            except trio.BrokenResourceError:
                return  # what it has said already is still to be read, and then comes the end
            self._writing = False

    async def _watch(self) -> None:
        while True:
            await trio.sleep(max(0.0, self.heard_at + SILENCE - trio.current_time()))
            asked = trio.current_time()
            if asked < self.heard_at + SILENCE:
                continue
            with trio.move_on_after(SILENCE) as waiting:
                await self.call(b"PING")
                self.round_trip = trio.current_time() - asked
            if waiting.cancelled_caught and self.heard_at <= asked:
                raise EngineLost(f"it has been silent for {2 * SILENCE:g} seconds")

    async def _read(self) -> None:
        feed, gets, waiting = self._reader.feed, self._reader.gets, self._waiting
        push, error = hiredis.PushNotification, hiredis.ReplyError
        while data := await self._stream.receive_some(READ_BYTES):
            self.heard_at, self._silent = trio.current_time(), False
            feed(bytes(data))
            while (reply := gets()) is not NOTHING:
                if type(reply) is push:
                    if reply[0] == b"message":
                        self._on_push(reply[1], reply[2])
                    elif waiting and isinstance(confirmations := waiting[0], _Confirmations):
                        confirmations.left -= 1
                        if not confirmations.left:
                            waiting.popleft()
                    continue
                if not waiting:
                    raise EngineLost("it said something that nobody asked for")
                then = waiting.popleft()
                if isinstance(reply, error) and not isinstance(then, _Caught):
                    raise _refused(reply)
                if not isinstance(then, _Confirmations):
                    then(reply)
        raise EngineLost(self._ended("it closed the connection"))

    def _ended(self, why: str) -> str:
        """Say how the connection ended, and what that may mean."""
        hint = " before it said a word: if it speaks TLS there, the URL must say so (rediss)"
        return why + hint if self._silent and isinstance(self._stream, PlainSocket) else why


class _Confirmations:
    """How many pushes are still to come in answer to a (UN)SUBSCRIBE; an error would be a single reply."""

    __slots__ = ("left",)

    def __init__(self, left: int) -> None:
        self.left = left


class _Caught(partial[None]):
    """A callback that takes errors as well."""

    __slots__ = ()


def _why_broken(group: BaseExceptionGroup[BaseException]) -> str:
    """Say why TLS ended a connection, if it did; with TLS 1.3 a refusal comes after the handshake."""
    error = group.exceptions[0]
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    cause = error.__cause__
    return tls_trouble(cause) if isinstance(cause, ssl.SSLError) else ""


def _refused(error: hiredis.ReplyError) -> EngineRefused:
    """Say what the engine answered; it never repeats a password."""
    text = str(error)[:LONGEST_ERROR]
    return EngineRefused(text.partition(" ")[0], text)
