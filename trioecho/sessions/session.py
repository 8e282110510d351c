"""
A session: one client, from its place in a room to the end of its connection.

What all kinds of client have in common is here: they join a room, hear the answer to their request under a
deadline, are served until the client or the server ends it, are closed in one place, and are counted and
logged. One error boundary stands around all of it: whatever goes wrong with a client ends this client alone.

A kind of client says in :meth:`Session._answer` how its request is answered, in :meth:`Session._serve` how it
is read and written, and in :meth:`Session._finish` how it is told of the end.
"""

from __future__ import annotations

import contextlib
import logging
import math
from abc import abstractmethod
from collections.abc import Awaitable, Callable

import trio

from trioecho import disconnect
from trioecho.access.identity import ANYONE, Identity
from trioecho.disconnect import Disconnect
from trioecho.log import log_event, logger
from trioecho.rooms.member import Member
from trioecho.rooms.outbox import Outbox
from trioecho.rooms.room import Room
from trioecho.rooms.since import Since
from trioecho.sessions.base_connection import BaseConnection
from trioecho.sessions.end import End, report_end, report_refused
from trioecho.sessions.membership import forget_member, member_of
from trioecho.sessions.state import ServerState
from trioecho.transport.closing import close_now, reset_on_close
from trioecho.transport.peer import Peer
from trioecho.transport.socket_stream import PlainSocket

__all__ = ["CLOSE_TIMEOUT", "Session"]

CLOSE_TIMEOUT = 2.0
"""How long a client may take to get the end of its connection and to answer it (seconds); after that the
connection is aborted."""

NOT_TAKEN = {disconnect.ABORTED, disconnect.DEAD}
"""The reasons of those who take nothing any more: what waits for them in the kernel is discarded."""


class Session(BaseConnection):
    """
    One client. :meth:`join`, then :meth:`run`; of the rest, what others ask of it never waits.

    Attributes:
        identity: who it is.
        outbox: what waits to be sent to it.
        messages_in: messages that were taken from it.

    """

    __slots__ = (
        "_connected_at",
        "_discarded",
        "_reset",
        "_room",
        "_scope",
        "_state",
        "_why",
        "identity",
        "may_publish",
        "messages_in",
        "outbox",
    )

    outbox: Outbox
    may_publish: bool
    _room: Room

    def __init__(
        self, state: ServerState, transport: trio.abc.Stream, peer: Peer, identity: Identity = ANYONE
    ) -> None:
        super().__init__(transport, peer)
        self.identity = identity
        self.messages_in = 0
        self._state = state
        self._scope = trio.CancelScope()
        self._why: Disconnect | None = None
        self._connected_at: float | None = None
        self._discarded = 0
        self._reset = False

    def join(self, room: str, since: Since | None = None, *, watches: bool = False) -> None:
        """
        Enter ``room``, from now on or since it was last there; if it ``watches``, it is told who else is.

        Raises:
            TooManyRooms: it would be one room too many. The connection can still be answered.

        """
        self._room = self._state.hub.enter(room, self, since, watches=watches)
        self.may_publish = self.identity.may_publish(room)
        self._state.connections.add(self)
        self._state.expiry.add(self, self.identity.expires_at)

    async def run(self) -> None:
        """
        Answer the client's request, serve it to its end, and close its connection.

        Raises nothing but what ends the server (``Cancelled``). If cancelled, the connection is closed at
        once, without a word.
        """
        try:
            with self._scope:
                await self._room.wait_open()
                if await self._is_answered():
                    self._connected()
                    await self._serve()
            self._why = self._why or self._reason_for_end()
            await self._state.turns.take_if_many()
            if self._connected_at is not None:
                await self._finish(self._why)
        except Exception:
            self._why = disconnect.BUG
            logger.exception("serving %s failed; this client is disconnected", self.peer)
            if self._connected_at is not None:
                # It may fail the same way again, and that is said already.
                with contextlib.suppress(Exception):
                    await self._finish(self._why)
        except BaseException:
            if self._why is None:
                self._why = disconnect.CANCELLED
            elif self._why in (disconnect.SHUTDOWN, disconnect.DRAINED):
                self._why = disconnect.ABORTED
            self._reset = True
            raise
        finally:
            self._leave()
            self._state.connections.discard(self)
            self._report()
            if self._reset or self._why in NOT_TAKEN:
                reset_on_close(self._transport)
            transport = self._transport
            self._release()
            await close_now(transport)

    async def _is_answered(self) -> bool:
        """Answer the request, in the time that it had to arrive itself; say whether the client took that."""
        try:
            await self._answer()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self._why = self._why or disconnect.LOST
            return False
        self._scope.deadline = math.inf
        return True

    async def _send_answer(self, data: bytes) -> None:
        """Send the answer; the deadline is only set for a client that does not take it at once."""
        if isinstance(self._transport, PlainSocket):
            with contextlib.suppress(OSError):  # no room, or broken: send_all() finds out which
                data = data[self._transport.send(data) :]
        if data:
            self._scope.deadline = trio.current_time() + self._state.settings.handshake_timeout
            await self._transport.send_all(data)

    def _connected(self) -> None:
        """Count and log the client, whose request has been answered."""
        self._state.hub.counters.connected += 1
        self._connected_at = trio.current_time()
        self._log_event(logging.INFO, "connected", there=self._room.size)

    def _log_event(self, level: int, event: str, **more: object) -> None:
        """Log what becomes of the client; only so often of those without a name, who may be strangers."""
        name = {} if self.name is None else {"name": self.name}
        log = log_event if name else self._state.lines.log
        log(level, event, address=self.address, **name, room=self._room.name, kind=self.kind, **more)

    def _reason_for_end(self) -> Disconnect:
        """Say why a session ended that nobody has disconnected."""
        return disconnect.LOST if self._connected_at is not None else disconnect.UNTAKEN

    def _leave(self) -> None:
        """Leave the room, and forget what is queued. Leaving twice is harmless."""
        self._state.keepalive.remove(self)
        self._state.expiry.remove(self)
        self._state.hub.leave(self._room, self)
        self.outbox.close()

    def _report(self) -> None:
        """Count and log the end of the client."""
        assert self._why is not None
        if self._connected_at is None:
            report_refused(self._state, self.address, self._why)
            return
        end = End(
            self._why,
            stayed=trio.current_time() - self._connected_at,
            received=self.messages_in,
            discarded=self._discarded,
            sent=self.sent,
            dropped=self.dropped,
            unsent=self.unsent,
        )
        report_end(self._state.hub.counters, end, self._log_event)

    def _discard(self, messages: int) -> None:
        """Count messages that the client sent when no room took them any more."""
        self._discarded += messages
        self._state.hub.counters.messages_discarded += messages

    def _release(self) -> None:
        """Let go of everything that refers back to this session, so that all of it is freed at once."""
        # The command has the cyclic garbage collector run rarely, and what a client sent may be large.
        forget_member(self)
        del self.outbox, self._transport, self._scope

    async def _write(self, outbox: Outbox, write: Callable[..., Awaitable[None]], *arguments: object) -> None:
        """Run a writer; if the connection takes no more, the client is gone."""
        try:
            await write(*arguments)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            outbox.close()
            self.disconnect(disconnect.LOST)
        except Exception:
            if self._why is not disconnect.BUG:  # or that is said already
                logger.exception("writing to %s failed; this client is disconnected", self.peer)
            outbox.close()
            self.disconnect(disconnect.BUG)

    @abstractmethod
    async def _answer(self) -> None:
        """Answer the request: the client is one when this returns."""

    @abstractmethod
    async def _serve(self) -> None:
        """Serve the client until it ends the connection; cancelled when the server does."""

    @abstractmethod
    async def _finish(self, why: Disconnect) -> None:
        """Deliver what is owed, if the reason is polite, and tell the client, if there is a way to."""

    @abstractmethod
    def start_writer(self) -> None:
        """Start a task that writes what is in the outbox, if the client needs one."""

    def _drain(self) -> None:
        """Begin to end politely: take no more from the room, and go on until what is queued is written."""
        self.outbox.close(drain=True)

    @property
    def member(self) -> Member:
        """It as the application sees it."""
        return member_of(self, self._room, self._state.hub)

    @property
    def id(self) -> str:
        """What it is known by to others: its member's id."""
        return self.member.id

    @property
    def sent(self) -> int:
        """Messages handed to the network for it."""
        return self.outbox.sent

    @property
    def dropped(self) -> int:
        """Messages that a dropping policy took from it."""
        return self.outbox.dropped

    @property
    def pending_bytes(self) -> int:
        """What waits to be sent to it (bytes)."""
        return self.outbox.pending_bytes

    @property
    def unsent(self) -> int:
        """Messages that it was to get and that were not handed to the network in whole."""
        return self.outbox.unsent

    def disconnect(self, why: Disconnect) -> None:
        """Disconnect the client for this reason, unless it has one; a polite one lets it have the rest."""
        if self._why is not None and not (self._why.polite and why is disconnect.OVER_MEMORY):
            return
        self._why = why
        if why.polite and self._connected_at is not None:
            self._drain()
        else:
            self._leave()
            self._scope.cancel()

    def on_space(self) -> None:
        """Tell the room that there is room again."""
        self._room.on_space(self.outbox)

    def on_first_drop(self) -> None:
        """Log that messages begin to be dropped."""
        self._log_event(
            logging.WARNING,
            "dropping",
            when_slow=self._state.hub.settings.when_slow,
            pending=self.outbox.pending_bytes,
        )
