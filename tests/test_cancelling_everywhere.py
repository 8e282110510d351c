"""Everything public is cancelled at every step of the scheduler in turn, and leaves nothing behind."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
import trustme
from helpers.cancelling import Scenario, cancel_at_every_step
from helpers.engine_server import engine_server
from helpers.http_client import asking, fetch, head_of

import trioecho
from trioecho import Conversation, Disconnect, Member, open_client, open_hub
from trioecho.asgi import HubApp
from trioecho.client import ConnectionClosed
from trioecho.testing import open_server


async def serve_and_talk() -> None:
    """A server on a socket, two clients of it, the application among them, and a graceful end."""
    async with trio.open_nursery() as nursery:
        server = await nursery.start(partial(trioecho.serve, port=0, shutdown_timeout=0.5))
        async with (
            open_client(server.url) as one,
            open_client(server.url) as other,
            server.hub.subscribe("/") as heard,
        ):
            await one.send("hello")
            assert await other.receive() == await anext(heard) == "hello"
            await server.hub.publish("/", "from us")
            assert await one.receive() == "from us"
        await server.shutdown()


async def hooks_and_routes() -> None:
    """Every hook, a route, a member that is sent something, and clients that come and go."""

    async def on_message(member: Member, message: str | bytes) -> str:
        await trio.lowlevel.checkpoint()
        return str(message).upper()

    async def on_join(member: Member) -> None:
        await member.send("welcome")

    async def on_leave(member: Member, why: Disconnect) -> None:
        await trio.lowlevel.checkpoint()

    async def echo(member: Conversation) -> None:
        async for message in member:
            await member.send(message)

    async with open_server(
        on_message=on_message, on_join=on_join, on_leave=on_leave, routes={"/echo": echo}
    ) as server:
        one, other, alone = await server.connect(), await server.connect(), await server.connect("/echo")
        await one.send("hi")
        assert [await other.receive(), await other.receive()] == ["welcome", "HI"]
        await alone.send("echo")
        assert await alone.receive() == "echo"
        await alone.close()
        await one.vanish()
        await server.shutdown()


async def a_hub_alone() -> None:
    """Rooms without a server: publishing that waits for one who is slow, and subscriptions."""
    async with open_hub(max_pending_bytes=2000, max_message_size=1000, stall_limit=5) as hub:
        async with hub.subscribe("/", sources=True) as slow, trio.open_nursery() as nursery:

            async def publish() -> None:
                for _ in range(6):
                    await hub.publish("/", 900 * "x")

            nursery.start_soon(publish)
            for _ in range(6):
                await anext(slow)


async def a_client_alone() -> None:
    """A client whose server has gone, and one that nobody answers."""
    async with trio.open_nursery() as nursery:
        server = await nursery.start(partial(trioecho.serve, port=0))
        async with open_client(server.url) as client:
            await client.ping()
            nursery.cancel_scope.cancel()
            with pytest.raises(ConnectionClosed):
                await client.receive()


async def events_and_posts() -> None:
    """A stream of events that begins with the past, a room's past as lines, a POST and the room's stats."""
    async with trio.open_nursery() as nursery:
        server = await nursery.start(partial(trioecho.serve, port=0, shutdown_timeout=0.5))
        text = {"Content-Type": "text/plain"}
        assert (await fetch(server.url, method="POST", body=b"before", headers=text)).status == 202
        async with asking(server.url) as listener:
            await listener.send(head_of("/?last=1", headers={"Accept": "text/event-stream"}))
            await listener.read_until(b"data: before\n\n")
            assert (await fetch(server.url, method="POST", body=b"now", headers=text)).status == 202
            await listener.read_until(b"data: now\n\n")
            for kind in ("application/x-ndjson", "application/json"):
                assert (await fetch(server.url, headers={"Accept": kind})).status == 200
        await server.shutdown()


async def without_waiting() -> None:
    """A hub that never waits, sources, and a member that does not get what the others get."""
    async with open_hub(max_pending_bytes=2000, max_message_size=1000) as hub:
        async with open_server(hub=hub) as server, hub.subscribe("/", sources=True) as heard:
            ann, bo = await server.connect(), await server.connect()
            await ann.send("who")
            said = await anext(heard)
            assert said.message == await bo.receive() == "who"
            assert hub.publish_nowait("/", "not to you", exclude=said.member or ()) == 2
            assert await bo.receive() == "not to you"
            with pytest.raises(trio.WouldBlock):
                while True:
                    hub.publish_nowait("/", 900 * "x")


async def an_asgi_application() -> None:
    """What a server of ASGI does with one: a lifespan, a WebSocket, and a stream of events."""
    async with open_hub() as hub, trio.open_nursery() as nursery:
        app = HubApp(hub)

        async def connect(scope: Mapping[str, Any]) -> tuple[Any, Any]:
            to_app, incoming = trio.open_memory_channel[dict[str, Any]](9)
            outgoing, from_app = trio.open_memory_channel[dict[str, Any]](9)
            nursery.start_soon(app, {"path": "/", "headers": [], **scope}, incoming.receive, outgoing.send)
            return to_app, from_app

        life, alive = await connect({"type": "lifespan"})
        await life.send({"type": "lifespan.startup"})
        assert await alive.receive() == {"type": "lifespan.startup.complete"}
        socket, said = await connect({"type": "websocket"})
        await socket.send({"type": "websocket.connect"})
        assert await said.receive() == {"type": "websocket.accept"}
        headers = [(b"accept", b"text/event-stream")]
        request, response = await connect({"type": "http", "method": "GET", "headers": headers})
        assert (await response.receive())["type"] == "http.response.start"
        await response.receive()  # that it listens
        await socket.send({"type": "websocket.receive", "text": "hello"})
        assert b"data: hello\n" in (await response.receive())["body"]
        await hub.publish("/", "from us")
        assert (await said.receive())["text"] == "from us"
        await request.send({"type": "http.disconnect"})
        await socket.send({"type": "websocket.disconnect"})
        await life.send({"type": "lifespan.shutdown"})
        assert await alive.receive() == {"type": "lifespan.shutdown.complete"}


async def a_tls_door(cert: str, trusting: ssl.SSLContext) -> None:
    """Two clients over TLS, and a graceful end that says goodbye through it."""
    async with trio.open_nursery() as nursery:
        server = await nursery.start(
            partial(trioecho.serve, port=0, tls_cert=cert, history=0, shutdown_timeout=0.5)
        )
        async with (
            open_client(server.url, ssl_context=trusting) as one,
            open_client(server.url, ssl_context=trusting) as other,
        ):
            await one.send("hello")
            assert await other.receive() == "hello"
        await server.shutdown()


async def rooms_in_an_engine(url: str) -> None:
    """Two hubs on an engine: publishing with and without waiting, and one who comes back."""
    async with open_hub(engine=url) as here, open_hub(engine=url) as there:
        async with here.subscribe("/", sources=True) as heard, there.subscribe("/") as elsewhere:
            await here.publish("/", "hello")
            assert (await anext(heard)).message == await anext(elsewhere) == "hello"
            there.publish_nowait("/", "at once")
            assert (await anext(heard)).message == await anext(elsewhere) == "at once"
            place = str(elsewhere.place)
        async with there.subscribe("/", after=place):
            pass


SCENARIOS: list[Scenario] = [
    serve_and_talk,
    hooks_and_routes,
    a_hub_alone,
    without_waiting,
    a_client_alone,
    events_and_posts,
    an_asgi_application,
]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_cancelled_at_any_step_nothing_is_left(scenario: Scenario) -> None:
    cancel_at_every_step(scenario)


def test_a_tls_door_cancelled_at_any_step_leaves_nothing(tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(tmp_path / "cert.pem")
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    cancel_at_every_step(partial(a_tls_door, str(tmp_path / "cert.pem"), trusting))


def test_rooms_in_an_engine_cancelled_at_any_step_leave_nothing(tmp_path: Path) -> None:
    """The engine has its own time: a step is not the same one each time, but each is some step."""

    async def main() -> None:
        async with engine_server(tmp_path) as engine:
            run = partial(cancel_at_every_step, partial(rooms_in_an_engine, engine.url))
            await trio.to_thread.run_sync(run)

    trio.run(main)


@pytest.mark.parametrize("where", ["hub", "server", "test"])
async def test_an_error_comes_out_as_itself(where: str) -> None:
    class Broken(trio.abc.Listener[trio.abc.Stream]):
        async def accept(self) -> trio.abc.Stream:
            await trio.lowlevel.checkpoint()
            raise LookupError("just so")

        async def aclose(self) -> None:
            await trio.lowlevel.checkpoint()

    with pytest.raises(LookupError) as caught:
        if where == "hub":
            async with open_hub() as hub, hub.subscribe("/"):
                raise LookupError("just so")
        elif where == "server":
            await trioecho.serve(listeners=[Broken()])
        else:
            async with open_server():
                raise LookupError("just so")
    assert caught.value.args == ("just so",)
