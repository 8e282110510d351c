"""A server in a test: the real one, over streams in memory."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar, Unpack

import trio
import trio.testing

from trioecho.access.gate import Authorize
from trioecho.nurseries import open_plain_nursery
from trioecho.rooms.hub import Hub
from trioecho.server.serve import serve
from trioecho.server.server import Server
from trioecho.sessions.hooks import OnJoin, OnLeave, OnMessage
from trioecho.sessions.route import RouteHandler
from trioecho.settings import Options
from trioecho.testing.client import MemoryClient
from trioecho.testing.listener import MemoryListener
from trioecho.web.site import Handler

__all__ = ["Answer", "MemoryServer", "NotLetIn", "OpenServer", "open_server", "run"]

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
"""A client's Sec-WebSocket-Key (RFC 6455, 4.1): the one of its example."""

READ_BYTES = 64 * 1024

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP response: its headers by their names in small letters."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode()


class NotLetIn(Exception):
    """The server answered a handshake with something else than yes: with ``answer``."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(f"{answer.status} {answer.text}".rstrip())
        self.answer = answer


class MemoryServer:
    """
    A server without ports, and the way to it; :func:`open_server` makes it.

    Attributes:
        server: what ``nursery.start(serve)`` returns.

    """

    def __init__(self, server: Server, listener: MemoryListener, nursery: trio.Nursery) -> None:
        self.server = server
        self._listener = listener
        self._nursery = nursery

    @property
    def hub(self) -> Hub:
        """The server's rooms."""
        return self.server.hub

    async def connect(
        self,
        target: str = "/",
        *,
        token: str | None = None,
        headers: Mapping[str, str] | None = None,
        subprotocols: Sequence[str] = (),
    ) -> MemoryClient:
        """
        Connect a client to a room or a route, and return it after its handshake.

        Args:
            target: the path, percent-encoded, perhaps with a query: ``"/chat?name=ann"``.
            token: is sent as a bearer token.
            headers: more headers of the request.
            subprotocols: what the client offers.

        Raises:
            NotLetIn: the server refuses it.

        """
        streams = trio.testing.memory_stream_pair()
        return await self._connect(streams, math.inf, target, token, headers, subprotocols)

    async def connect_stuck(
        self,
        target: str = "/",
        *,
        token: str | None = None,
        headers: Mapping[str, str] | None = None,
        subprotocols: Sequence[str] = (),
    ) -> MemoryClient:
        """
        Connect a client that reads nothing until :meth:`MemoryClient.go_on`.

        Nothing between it and the server keeps anything, so the very first byte that the server sends it
        waits. It does not answer pings either.
        """
        streams = trio.testing.lockstep_stream_pair()
        return await self._connect(streams, 0, target, token, headers, subprotocols)

    async def connect_slow(
        self,
        target: str = "/",
        *,
        bytes_per_second: float,
        token: str | None = None,
        headers: Mapping[str, str] | None = None,
        subprotocols: Sequence[str] = (),
    ) -> MemoryClient:
        """Connect a client that reads no faster than so many bytes a second; frame headers count."""
        streams = trio.testing.lockstep_stream_pair()
        return await self._connect(streams, bytes_per_second, target, token, headers, subprotocols)

    async def request(
        self,
        method: str,
        target: str = "/",
        *,
        body: str | bytes = b"",
        token: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send one HTTP request on a connection of its own, and return the response."""
        data = body.encode() if isinstance(body, str) else body
        fields = {"Connection": "close", **(headers or {})}
        if isinstance(body, str) and body:
            fields.setdefault("Content-Type", "text/plain; charset=utf-8")
        if data or method == "POST":
            fields["Content-Length"] = str(len(data))
        near, far = trio.testing.memory_stream_pair()
        await self.accept(near)
        async with far:
            await far.send_all(_head(method, target, token, fields) + data)
            received = b""
            while data := bytes(await far.receive_some(READ_BYTES)):
                received += data
        return _answer(received)

    async def accept(self, stream: trio.abc.Stream) -> None:
        """
        Have the server accept a connection of the test's own: ``stream`` is the server's end of it.

        For a client that does what none of the others does: one that sends bytes of its own, say, over the
        other end of ``trio.testing.memory_stream_pair()``.
        """
        await self._listener.connect(stream)

    async def shutdown(self) -> None:
        """Shut the server down gracefully, and wait until that is done."""
        await self.server.shutdown()

    async def _connect(
        self,
        streams: tuple[trio.abc.Stream, trio.abc.Stream],
        pace: float,
        target: str,
        token: str | None,
        headers: Mapping[str, str] | None,
        subprotocols: Sequence[str],
    ) -> MemoryClient:
        near, far = streams
        await self.accept(near)
        fields = {
            "Connection": "Upgrade",
            "Upgrade": "websocket",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": KEY,
            **({"Sec-WebSocket-Protocol": ", ".join(subprotocols)} if subprotocols else {}),
            **(headers or {}),
        }
        await far.send_all(_head("GET", target, token, fields))
        received = b""
        # Byte by byte, or a stuck client would have read what comes behind the head.
        most = READ_BYTES if pace == math.inf else 1
        while b"\r\n\r\n" not in received:
            data = await far.receive_some(most)
            if not data:
                break
            received += data
        head = _answer(received)
        if head.status != 101:
            while data := await far.receive_some(READ_BYTES):
                received += data
            await far.aclose()
            raise NotLetIn(_answer(received))
        client = MemoryClient(far, head.body, head.headers, pace)
        self._nursery.start_soon(client.run)
        return client


OpenServer = Callable[..., AbstractAsyncContextManager[MemoryServer]]
"""The type of the fixture ``trioecho_server``: :func:`open_server`, with whatever arguments it takes."""


@asynccontextmanager
async def open_server(
    *,
    hub: Hub | None = None,
    http_handlers: Mapping[str, Handler] | None = None,
    routes: Mapping[str, RouteHandler] | None = None,
    authorize: Authorize | None = None,
    on_message: OnMessage | None = None,
    on_join: OnJoin | None = None,
    on_leave: OnLeave | None = None,
    hook_timeout: float = 10.0,
    **options: Unpack[Options],
) -> AsyncIterator[MemoryServer]:
    """
    Run a server for the length of a ``with`` block, with clients in memory.

    ::

        async with trioecho.testing.open_server(on_message=shout) as server:
            ann, bob = await server.connect("/chat"), await server.connect("/chat")
            await ann.send("hi")
            assert await bob.receive() == "HI"

    It takes the arguments of :func:`serve` but for those that say where to listen. Pings are off unless
    ``ping_interval`` is given: in virtual time they would come for ever. At the end of the block the server
    is cancelled; an exception of the block comes out as it is.

    Under trio's virtual clock (``autojump_clock`` of pytest-trio, or :func:`run`) a timeout takes no time.
    """
    options = {"ping_interval": 0, **options}
    listener = MemoryListener()
    async with open_plain_nursery() as nursery:
        server = await nursery.start(
            partial(
                serve,
                listeners=[listener],
                hub=hub,
                http_handlers=http_handlers,
                routes=routes,
                authorize=authorize,
                on_message=on_message,
                on_join=on_join,
                on_leave=on_leave,
                hook_timeout=hook_timeout,
                **options,
            )
        )
        yield MemoryServer(server, listener, nursery)
        nursery.cancel_scope.cancel()


def run(test: Callable[..., Awaitable[T]], *arguments: Any) -> T:
    """Run an async function under trio's virtual clock: seconds pass as soon as nobody has anything to do."""
    return trio.run(test, *arguments, clock=trio.testing.MockClock(autojump_threshold=0))


def _head(method: str, target: str, token: str | None, headers: Mapping[str, str]) -> bytes:
    fields = {"Host": "localhost", **headers}
    if token is not None:
        fields["Authorization"] = f"Bearer {token}"
    lines = [f"{method} {target} HTTP/1.1", *[f"{name}: {value}" for name, value in fields.items()]]
    return "\r\n".join([*lines, "", ""]).encode()


def _answer(received: bytes) -> Answer:
    head, _, body = received.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = {}
    for line in lines:
        name, _, value = line.partition(": ")
        headers[name.lower()] = value
    return Answer(int(first.split(" ")[1]), headers, body)
