"""Routes: the application's own conversations, with a client's bounds, keepalive, shutdown and boundary."""

from __future__ import annotations

import json
import logging

import pytest
import trio
import trio.testing

from trioecho import Conversation, Identity, OptionError, Refusal, Request, Response, serve
from trioecho.testing import Closed, NotLetIn, open_server


async def echo(member: Conversation) -> None:
    async for message in member:
        assert await member.send(message)


async def test_a_handler_talks_with_each_client_beside_the_rooms() -> None:
    async def rpc(member: Conversation) -> None:
        async for message in member:
            call = json.loads(message)
            await member.send(json.dumps({"id": call["id"], "sum": sum(call["add"])}))

    async with open_server(routes={"/rpc": rpc}, prefix="> ") as server:
        one, other, room = await server.connect("/rpc"), await server.connect("/rpc"), await server.connect()
        await one.send('{"id": 1, "add": [1, 2]}', '{"id": 2, "add": [3, 4]}')
        await other.send('{"id": 1, "add": [5]}')
        assert [json.loads(await one.receive()) for _ in range(2)] == [
            {"id": 1, "sum": 3},
            {"id": 2, "sum": 7},
        ]
        assert json.loads(await other.receive()) == {"id": 1, "sum": 5}
        assert server.hub.rooms == {"/": 1}
        assert room.messages == 0


async def test_a_conversation_says_who_it_is_with() -> None:
    async def whoami(member: Conversation) -> None:
        await member.send(f"{member.identity.name} at {member.room}")

    async def authorize(request: Request) -> Identity | Refusal:
        return Identity(request.query) if request.query else Refusal(401, "Who are you?")

    async with open_server(routes={"/me": whoami}, authorize=authorize) as server:
        client = await server.connect("/me?ada")
        assert await client.receive() == "ada at /me"
        ended = await client.wait_closed()
        assert (ended.code, ended.reason) == (1000, "the conversation is over")
        with pytest.raises(NotLetIn, match="401 Who are you"):
            await server.connect("/me")
        with pytest.raises(NotLetIn, match="426"):
            raise NotLetIn(await server.request("GET", "/me?ada"))
        assert server.server.counters.disconnected["finished"] == 1


async def test_a_failing_handler_ends_its_client_alone(caplog: pytest.LogCaptureFixture) -> None:
    async def fail(member: Conversation) -> None:
        async for message in member:
            if message == "bad":
                raise LookupError("a bug of the application's")
            await member.send(message)

    async with open_server(routes={"/": fail}) as server:
        bad, good = await server.connect(), await server.connect()
        with caplog.at_level(logging.ERROR):
            await bad.send("bad")
            ended = await bad.wait_closed()
        assert (ended.code, ended.reason) == (1011, "the application failed")
        assert "a bug of the application's" in caplog.text
        await good.send("good")
        assert await good.receive() == "good"


async def test_a_client_that_is_not_listened_to_waits(autojump_clock: trio.testing.MockClock) -> None:
    taken: list[str | bytes] = []

    async def slow(member: Conversation) -> None:
        async for message in member:
            taken.append(message)
            await trio.sleep(10)

    async with open_server(routes={"/": slow}, ping_interval=3, ping_timeout=3) as server:
        client = await server.connect()
        await client.send(*[str(number) for number in range(5)])
        await trio.sleep(25)
        assert taken == ["0", "1", "2"]
        assert not server.server.counters.disconnected


async def test_a_client_that_does_not_read_has_an_outbox_and_its_policy(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async def flood(member: Conversation) -> None:
        while await member.send(900 * "x"):
            pass

    async with open_server(
        routes={"/": flood}, max_pending_bytes=3000, max_message_size=1000, stall_limit=3
    ) as server:
        await server.connect_stuck()
        await trio.sleep(10)
        assert dict(server.server.counters.disconnected) == {"slow": 1}


async def test_the_iteration_ends_with_the_client_after_what_it_sent() -> None:
    taken: list[str | bytes] = []
    over = trio.Event()

    async def collect(member: Conversation) -> None:
        async for message in member:
            await trio.testing.wait_all_tasks_blocked()
            taken.append(message)
        assert not await member.send("too late")
        over.set()

    async with open_server(routes={"/": collect}) as server:
        client = await server.connect()
        await client.send("one", "two", "three")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.close)
            await over.wait()
    assert taken == ["one", "two", "three"]


async def test_a_handler_that_does_not_notice_is_cancelled_a_while_later(
    autojump_clock: trio.testing.MockClock,
) -> None:
    ended: list[float] = []

    async def deaf(member: Conversation) -> None:
        try:
            await trio.sleep_forever()
        finally:
            ended.append(trio.current_time())

    async with open_server(routes={"/": deaf}, hook_timeout=4) as server:
        client = await server.connect()
        await client.vanish()
        await trio.sleep(10)
        assert len(ended) == 1 and 4 <= ended[0] < 5
        assert dict(server.server.counters.disconnected) == {"lost": 1}


async def test_a_shutdown_delivers_what_was_sent_and_cancels_the_handler(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async def talk(member: Conversation) -> None:
        for number in range(20):
            await member.send(str(number))
        await trio.sleep_forever()

    async with open_server(routes={"/": talk}) as server:
        client = await server.connect_slow(bytes_per_second=30)
        await trio.sleep(0.1)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.shutdown)
            heard = [message async for message in client]
        assert heard == [str(number) for number in range(20)]
        assert (await client.wait_closed()).code == 1001


async def test_a_route_with_a_rate_is_read_no_faster(autojump_clock: trio.testing.MockClock) -> None:
    async with open_server(routes={"/": echo}, rate="1/s:1") as server:
        client = await server.connect()
        await client.send("a", "b", "c")
        assert [await client.receive() for _ in range(3)] == ["a", "b", "c"]
        assert trio.current_time() >= 1.9


async def test_who_may_only_listen_sends_a_route_nothing() -> None:
    async def authorize(request: Request) -> Identity:
        return Identity("mute", publish=False)

    async with open_server(routes={"/": echo}, authorize=authorize) as server:
        client = await server.connect()
        await client.send("hello")
        assert (await client.wait_closed()).code == 1008


async def test_a_path_is_a_route_or_a_page_and_a_route_has_a_rooms_name() -> None:
    async def page(request: Request) -> Response:
        return Response(200, b"")

    with pytest.raises(OptionError, match=r"^routes has /a, and so has http_handlers"):
        await serve(port=0, routes={"/a": echo}, http_handlers={"/a": page})
    with pytest.raises(OptionError, match=r"^routes must be .*slash"):
        await serve(port=0, routes={"a": echo})
    with pytest.raises(OptionError, match=r"^routes must be async functions"):
        await serve(port=0, routes={"/a": 7})  # type: ignore[dict-item]


async def test_a_route_with_compression_and_a_silent_end(autojump_clock: trio.testing.MockClock) -> None:
    """What goes to one client alone is plain, whatever was agreed on."""
    async with open_server(routes={"/": echo}, ping_interval=5, ping_timeout=5) as server:
        client = await server.connect(headers={"Sec-WebSocket-Extensions": "permessage-deflate"})
        assert "permessage-deflate" in client.headers["sec-websocket-extensions"]
        await client.send(300 * "x")
        assert await client.receive() == 300 * "x"
        await client.vanish(silently=True)
        await trio.sleep(20)
        assert dict(server.server.counters.disconnected) == {"dead": 1}
        with pytest.raises((Closed, trio.TooSlowError)):
            with trio.fail_after(1):
                await client.receive()
