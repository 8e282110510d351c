"""The ASGI application: a room for each path, over WebSocket and as Server-Sent Events (ASGI 3.0)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import trio

from trioecho.access.identity import ANYONE, Identity
from trioecho.asgi.visitor import Visitor
from trioecho.disconnect import TOO_BIG, Disconnect
from trioecho.nurseries import open_plain_nursery
from trioecho.protocol import frames
from trioecho.protocol.room_name import RoomNameError, check_room_name
from trioecho.rooms.batch import Batch, as_events
from trioecho.rooms.hub import Hub, registry_of
from trioecho.rooms.member import detach
from trioecho.rooms.message import encoded_message
from trioecho.rooms.registry import TooManyRooms

__all__ = ["HubApp"]

# Wide enough for every server and framework: some type events as plain mappings, some each as its own type.
Scope = Mapping[str, Any]
Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[Any], Awaitable[None]]

Authorize = Callable[[Scope], Awaitable[Identity | None]]
"""Says who a client is, or with ``None`` that it may not come in."""

EVENTS_HEAD = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-store")]


class HubApp:
    """
    The rooms of ``hub`` as an ASGI application; a path is a room, below the site's ``root_path``.

    WebSockets publish and listen, and a GET that accepts ``text/event-stream`` listens. Everybody has an
    outbox with the hub's bound and policy. It runs on trio only.

    Args:
        hub: the rooms; :func:`open_hub` makes them.
        authorize: an async function of the ASGI scope that returns an :class:`Identity`, or ``None`` for
            whoever may not come in. Default: everybody comes in, but for pages of other sites in a browser.

    """

    def __init__(self, hub: Hub, *, authorize: Authorize | None = None) -> None:
        self._registry = registry_of(hub)
        self._authorize = authorize or _same_site

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection; cancelling it leaves its room."""
        if scope["type"] == "lifespan":
            await _live(receive, send)
        elif scope["type"] == "websocket":
            await self._talk(scope, receive, send)
        elif scope["type"] == "http":
            await self._listen(scope, receive, send)

    async def _talk(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()  # websocket.connect
        async with self._visit(scope) as visitor:
            if visitor is None:
                await send({"type": "websocket.close", "code": 1008})  # before the handshake: 403
                return
            await send({"type": "websocket.accept"})
            async with open_plain_nursery() as nursery:
                nursery.start_soon(self._write, visitor, send, nursery.cancel_scope)
                await self._read(visitor, receive)
                nursery.cancel_scope.cancel()

    async def _read(self, visitor: Visitor, receive: Receive) -> None:
        """Publish what the client says until it has gone."""
        may_publish = visitor.member.identity.may_publish(visitor.room.name)
        while (event := await receive())["type"] == "websocket.receive":
            text: str | None = event.get("text")
            message: str | bytes = event.get("bytes") or b"" if text is None else text
            if not may_publish:
                continue
            try:
                frame = encoded_message(message, self._registry.settings.max_message_size)
            except ValueError:
                visitor.disconnect(TOO_BIG)
                await trio.sleep_forever()  # the writer ends it
            visitor.messages_in += 1
            self._registry.counters.bytes_in += len(frame)
            await visitor.room.publish(Batch(visitor, frame, 1))

    async def _write(self, visitor: Visitor, send: Send, scope: trio.CancelScope) -> None:
        """Send what the room says until the visitor is disconnected."""
        while (batch := await _next(visitor)) is not None:
            for message in frames.messages(batch.frames):
                kind = "text" if isinstance(message, str) else "bytes"
                await send({"type": "websocket.send", kind: message})
        why = visitor.why or Disconnect("closed", 1001, "")
        await send({"type": "websocket.close", "code": why.code, "reason": why.reason})
        scope.cancel()

    async def _listen(self, scope: Scope, receive: Receive, send: Send) -> None:
        accept = dict(scope["headers"]).get(b"accept", b"")
        if scope["method"] != "GET" or b"text/event-stream" not in accept:
            await _answer(send, 406, b"A room is a WebSocket, or events (text/event-stream).\n")
            return
        async with self._visit(scope) as visitor:
            if visitor is None:
                await _answer(send, 403, b"Not allowed.\n")
                return
            await send({"type": "http.response.start", "status": 200, "headers": EVENTS_HEAD})
            await send({"type": "http.response.body", "body": b": listening\n\n", "more_body": True})
            async with open_plain_nursery() as nursery:
                nursery.start_soon(_until_gone, receive, nursery.cancel_scope)
                while (batch := await _next(visitor)) is not None:
                    events = batch.encoded(as_events)
                    await send({"type": "http.response.body", "body": events, "more_body": True})
                await send({"type": "http.response.body", "body": b"", "more_body": False})
                nursery.cancel_scope.cancel()

    @asynccontextmanager
    async def _visit(self, scope: Scope) -> AsyncIterator[Visitor | None]:
        """Be in the room that is asked for; ``None`` if that may not be."""
        registry, visitor = self._registry, None
        path = scope["path"].removeprefix(scope.get("root_path", "")) or "/"
        identity = None if registry.draining else await self._authorize(scope)
        if identity is not None and identity.may_subscribe(path):
            try:
                check_room_name(path)
                visitor = Visitor(registry, path, identity, ":".join(map(str, scope.get("client") or ())))
            except (RoomNameError, TooManyRooms):
                visitor = None
        try:
            yield visitor
        finally:
            if visitor is not None:
                visitor.outbox.close()
                registry.leave(visitor.room, visitor)
                registry.counters.messages_in += visitor.messages_in
                detach(visitor.member)


async def _next(visitor: Visitor) -> Batch | None:
    """Return what comes next; ``None`` once the visitor is disconnected and has the rest."""
    try:
        return await visitor.outbox.receive()
    except (trio.EndOfChannel, trio.ClosedResourceError):
        return None


async def _until_gone(receive: Receive, scope: trio.CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()


async def _live(receive: Receive, send: Send) -> None:
    """Answer the server's beginning and end: the hub has a life of its own."""
    while (event := await receive())["type"] != "lifespan.shutdown":
        await send({"type": f"{event['type']}.complete"})
    await send({"type": "lifespan.shutdown.complete"})


async def _same_site(scope: Scope) -> Identity | None:
    """Let everybody in but a browser's page of another site: a page may not use who the browser is."""
    await trio.lowlevel.checkpoint()
    headers = dict(scope["headers"])
    origin = headers.get(b"origin")
    if origin is None or urlsplit(origin.decode("latin-1")).netloc.encode("latin-1") == headers.get(b"host"):
        return ANYONE
    return None


async def _answer(send: Send, status: int, body: bytes) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
