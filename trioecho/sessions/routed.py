"""
A routed session: a client whose messages go to a handler of the application's, and to no room.

All else is as with every WebSocket client: outbox, keepalive, limits, shutdown and the error boundary. The
handler is in the client's own task, and a second one reads. What has been read and not been taken is one
read, so a client that is not listened to feels TCP backpressure.
"""

from __future__ import annotations

import logging
import math

import trio

from trioecho.disconnect import FINISHED, LOST
from trioecho.log import logger
from trioecho.memory import Lease
from trioecho.protocol import frames
from trioecho.rooms.conversation import Conversation
from trioecho.rooms.member import attach
from trioecho.sessions.hooks import HookError, boundary
from trioecho.sessions.paced import LOOK, PacedSession
from trioecho.sessions.route import Route
from trioecho.sessions.websocket import WebSocketSession
from trioecho.transport.closing import is_gone

__all__ = ["PacedRouted", "RoutedSession"]


class RoutedSession(WebSocketSession):
    """The session of one client of a route."""

    __slots__ = ()

    def enter(self, route: Route) -> None:
        """Be a client of ``route``, as others join a room."""
        self._room = route
        self._member = Conversation(self.identity, route.name, self.address)
        attach(self._member, self, route, self._state.hub)
        route.add(self)
        self.may_publish = self.identity.may_publish(route.name)
        self._state.connections.add(self)
        self._state.expiry.add(self, self.identity.expires_at)

    async def _serve(self) -> None:
        route, conversation = self._room, self._member
        assert isinstance(route, Route) and isinstance(conversation, Conversation)
        async with trio.open_nursery() as nursery:
            grace = trio.CancelScope()
            nursery.start_soon(self._read, conversation, grace)
            try:
                with boundary(f"the handler of {route.name}"), grace:
                    await route.handler(conversation)
            except HookError as error:
                self.disconnect(error.why)
            else:
                if grace.deadline == math.inf:
                    self.disconnect(FINISHED)
            conversation._ends.receive.close()

    async def _read(self, conversation: Conversation, grace: trio.CancelScope) -> None:
        """Read until the client has gone; the handler has a while then to come to an end."""
        await super()._serve()
        self.outbox.close()  # nothing reaches it any more
        conversation._ends.send.close()
        grace.deadline = trio.current_time() + self._state.hooks.timeout

    async def publish(self, messages: list[bytes]) -> None:
        """Hand the messages of one read to the handler, one after another."""
        left = len(messages)
        if self._state.draining or not self.may_publish:
            await super().publish(messages)
            return
        size = sum(map(len, messages))
        self._state.hub.counters.bytes_in += size
        if logger.isEnabledFor(logging.DEBUG):
            self._log(messages)
        waiting = Lease(self._state.hub.memory, size)
        try:
            for frame in messages:
                (message,) = frames.messages(frame)
                if not await self._hand_over(message):
                    return
                left -= 1
                self.messages_in += 1
        finally:
            del waiting
            if left:
                self._discard(left)

    async def _hand_over(self, message: str | bytes) -> bool:
        """Wait until the handler takes a message, and return whether it did; nobody else sees a client go."""
        assert isinstance(self._member, Conversation)
        while True:
            try:
                with trio.move_on_after(LOOK):
                    await self._member._ends.send.send(message)
                    return True
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return False
            if is_gone(self._transport):
                self.disconnect(LOST)
                return False


class PacedRouted(PacedSession, RoutedSession):
    """One that is held to a rate, too."""

    __slots__ = ()
