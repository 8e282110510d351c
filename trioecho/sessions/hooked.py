"""
Hooked sessions: clients of whom the application is told, or whose messages it is asked about.

Only where the application has hooks is there any of this, so that it costs nothing where it has none. A
client's messages are asked about one by one, in the task that reads them: so they keep their order, and a
client whose message takes long is not read from meanwhile, which it feels as TCP backpressure.
"""

from __future__ import annotations

import logging

import trio

from trioecho.log import logger
from trioecho.memory import Lease
from trioecho.protocol import frames
from trioecho.rooms.batch import Batch
from trioecho.sessions.event_stream import EventStream
from trioecho.sessions.hooks import HookError
from trioecho.sessions.paced import PacedSession
from trioecho.sessions.relaying import relay
from trioecho.sessions.session import Session
from trioecho.sessions.websocket import WebSocketSession

__all__ = ["HookedEventStream", "HookedWebSocket", "PacedHooked"]

MESSAGES_A_TURN = 32
"""After so many messages of one read others get their turn, even if the hook never waits."""


class Hooked(Session):
    """A client whose coming and going the application is told of."""

    __slots__ = ()

    async def run(self) -> None:
        """Do as every session; at the end tell the application, if it has been told of the beginning."""
        try:
            await super().run()
        finally:
            if self._connected_at is not None:
                await self._tell_leave()

    async def _tell_leave(self) -> None:
        hooks = self._state.hooks
        if hooks.on_leave is None:
            return
        assert self._why is not None
        try:
            await hooks.call("on_leave", hooks.on_leave, self.member, self._why)
        except HookError:
            return  # that is logged, and there is nobody left to disconnect

    async def _tell_join(self) -> None:
        hooks = self._state.hooks
        if hooks.on_join is None:
            return
        try:
            await hooks.call("on_join", hooks.on_join, self.member)
        except HookError as error:
            self.disconnect(error.why)


class HookedEventStream(Hooked, EventStream):
    """A listening client of whom the application is told."""

    __slots__ = ()

    async def _serve(self) -> None:
        await self._tell_join()
        await super()._serve()


class HookedWebSocket(Hooked, WebSocketSession):
    """A client of whom the application is told, and whose messages it may be asked about."""

    __slots__ = ()

    async def _serve(self) -> None:
        self._wire.publishing = True  # it is not read from meanwhile, so it can't answer a ping
        await self._tell_join()
        self._wire.publishing = False
        await super()._serve()

    async def publish(self, messages: list[bytes]) -> None:
        """Ask about the messages of one read, one after another, and relay what the hook returns."""
        hooks = self._state.hooks
        if hooks.on_message is None or self._state.draining or not self.may_publish:
            await super().publish(messages)
            return
        size, left = sum(map(len, messages)), len(messages)
        self._state.hub.counters.bytes_in += size
        if logger.isEnabledFor(logging.DEBUG):
            self._log(messages)
        waiting = Lease(self._state.hub.memory, size)
        try:
            for number, frame in enumerate(messages, 1):
                if self._state.draining or self._why is not None:
                    return
                (message,) = frames.messages(frame)
                left -= 1
                self.messages_in += 1
                answer = await hooks.call("on_message", hooks.on_message, self.member, message)
                await relay(self._state, answer, self._publish_one)
                if not number % MESSAGES_A_TURN:
                    await trio.lowlevel.checkpoint()
        except HookError as error:
            self.disconnect(error.why)
        finally:
            del waiting
            if left:
                self._discard(left)

    async def _publish_one(self, frame: bytes) -> None:
        await self._room.publish(Batch(self, self._state.inbound.prepare(frame), 1))


class PacedHooked(PacedSession, HookedWebSocket):
    """Both: its messages are asked about when their time has come."""

    __slots__ = ()
