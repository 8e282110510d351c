"""``order="node"``: a server's own clients hear each other at once, whatever the engine does meanwhile."""

from __future__ import annotations

import random
import signal
from collections import defaultdict
from contextlib import AsyncExitStack
from itertools import pairwise
from pathlib import Path

import pytest
import trio
from helpers.heads import Heads
from helpers.http_client import fetch
from helpers.two_servers import two
from trio_websocket import WebSocketConnection, open_websocket_url

from trioecho import Client, Server, open_client
from trioecho.rooms.place import parse_place
from trioecho.settings import Audience


async def heard(client: WebSocketConnection | Client, count: int) -> list[str]:
    """Return the next messages of a client."""
    receive = client.get_message if isinstance(client, WebSocketConnection) else client.receive
    return [str(await receive()) for _ in range(count)]


async def nothing(client: WebSocketConnection) -> bool:
    """Whether a client has heard nothing that was written to it before a pong."""
    await client.ping()
    with trio.move_on_after(0):
        await client.get_message()
        return False
    return True


@pytest.mark.parametrize("order", ["room", "node"])
async def test_those_of_a_server_hear_each_other_while_the_engine_stands_still(
    tmp_path: Path, order: str
) -> None:
    async with two(tmp_path, order=order) as (engine, one, other):
        async with (
            open_websocket_url(f"{one.url}x") as a,
            open_websocket_url(f"{one.url}x") as b,
            open_websocket_url(f"{other.url}x") as far,
        ):
            engine.signal(signal.SIGSTOP)
            try:
                await a.send_message("from a")
                if order == "node":
                    assert await heard(b, 1) == ["from a"]
                    await b.send_message("from b")
                    assert await heard(a, 1) == ["from b"]
                    await one.hub.publish("/x", "from the application")
                    assert await heard(a, 1) == await heard(b, 1) == ["from the application"]
                else:
                    await b.send_message("from b")
                    await one.hub.publish("/x", "from the application")
                assert await nothing(a) and await nothing(b) and await nothing(far)
            finally:
                engine.signal(signal.SIGCONT)
            # Everybody gets it, those who have had it not a second time.
            assert await heard(far, 3) == ["from a", "from b", "from the application"]
            await far.send_message("the last")
            before = [] if order == "node" else ["from b", "from the application"]
            assert await heard(a, len(before) + 1) == [*before, "the last"]
            before = [] if order == "node" else ["from a", "from the application"]
            assert await heard(b, len(before) + 1) == [*before, "the last"]


@pytest.mark.parametrize("to", ["everyone", "others"])
async def test_nothing_is_lost_or_doubled_and_who_speaks_of_places_has_one_order(
    tmp_path: Path, to: Audience
) -> None:
    """Many speak on two servers while the connections to the engine are cut."""
    talkers, count, chance = 6, 60, random.Random(1)
    async with two(tmp_path, to=to, order="node", history=10_000) as (engine, one, other):
        got: dict[str, list[str]] = defaultdict(list)
        expected = talkers * count
        heads = {name: Heads() for name in ("head one", "head other")}

        async def listen(name: str, client: WebSocketConnection) -> None:
            while True:
                message = str(await client.get_message())
                if name in heads:
                    heads[name].take(message)
                else:
                    got[name].append(message)

        async def iterate(name: str, server: Server) -> None:
            async with server.hub.subscribe("/x") as subscription:
                got[name] = []
                async for message in subscription:
                    got[name].append(str(message))

        async def talk(name: str, client: WebSocketConnection) -> None:
            for number in range(count):
                await client.send_message(f"{name} {number}")
                await trio.sleep(chance.random() / 50)

        async with trio.open_nursery() as nursery:
            clients = {}
            for number in range(talkers):
                url = f"{(one, other)[number % 2].url}x"
                clients[f"talker{number}"] = await nursery.start(stay, url, "")
            for server, which in ((one, "one"), (other, "other")):
                clients[f"plain {which}"] = await nursery.start(stay, f"{server.url}x", "")
                clients[f"past {which}"] = await nursery.start(stay, f"{server.url}x?last=5", "")
                clients[f"head {which}"] = await nursery.start(stay, f"{server.url}x", "trioecho.v1")
                nursery.start_soon(iterate, f"application {which}", server)
            for name, client in clients.items():
                nursery.start_soon(listen, name, client)
            while len(one.hub.rooms) + len(other.hub.rooms) < 2 or len(got) < 2:  # noqa: ASYNC110
                await trio.sleep(0.01)
            async with trio.open_nursery() as talking:
                for number in range(talkers):
                    talking.start_soon(talk, f"talker{number}", clients[f"talker{number}"])
                for _ in range(4):
                    await trio.sleep(0.25)
                    engine.ask("CLIENT", "KILL", "TYPE", "normal")
                    engine.ask("CLIENT", "KILL", "TYPE", "pubsub")

            def is_over() -> bool:
                own = {name: count for name in clients if name.startswith("talker") and to == "others"}
                names = [name for name in clients if name not in heads]
                return all(
                    len(got[name]) >= expected - own.get(name, 0)
                    for name in (*names, "application one", "application other")
                ) and all(len(each.heard) >= expected for each in heads.values())

            while not is_over():  # noqa: ASYNC110
                await trio.sleep(0.02)
            for client in clients.values():
                await client.ping()
            nursery.cancel_scope.cancel()
        everything = {f"talker{talker} {number}" for talker in range(talkers) for number in range(count)}
        for name, messages in [*got.items(), *((name, [*map(str, h.heard)]) for name, h in heads.items())]:
            own = {text for text in everything if to == "others" and text.startswith(f"{name} ")}
            assert len(messages) == len(set(messages)), name
            assert set(messages) == everything - own, name
            for talker in range(talkers):
                numbers = [int(text.split()[1]) for text in messages if text.startswith(f"talker{talker} ")]
                assert all(before < after for before, after in pairwise(numbers)), name
        in_order = [got[f"{kind} {which}"] for kind in ("past", "application") for which in ("one", "other")]
        in_order += [[*map(str, each.heard)] for each in heads.values()]
        assert all(messages == in_order[0] for messages in in_order)
        assert all(each.numbers == list(range(1, expected + 1)) for each in heads.values())


async def stay(url: str, subprotocol: str, task_status: trio.TaskStatus[WebSocketConnection]) -> None:
    """Be a client until cancelled."""
    async with open_websocket_url(url, subprotocols=[subprotocol] if subprotocol else []) as client:
        task_status.started(client)
        await trio.sleep_forever()


async def test_who_comes_back_to_a_place_misses_nothing_of_what_was_said_early(tmp_path: Path) -> None:
    async with two(tmp_path, order="node") as (engine, one, other):
        async with (
            open_websocket_url(f"{one.url}x") as a,
            open_websocket_url(f"{one.url}x") as b,
            one.hub.subscribe("/x") as application,
        ):
            await a.send_message("first")
            assert await heard(b, 1) == [await anext(application)] == ["first"]
            place = application.place
            engine.signal(signal.SIGSTOP)
            try:
                await a.send_message("second")
                assert await heard(b, 1) == ["second"]
                async with open_websocket_url(f"{one.url}x?after={place}") as back:
                    await a.send_message("third")
                    assert await heard(b, 1) == ["third"]
                    assert await nothing(back)
                    engine.signal(signal.SIGCONT)
                    assert await heard(back, 2) == ["second", "third"]
            finally:
                engine.signal(signal.SIGCONT)
            assert [await anext(application) for _ in range(2)] == ["second", "third"]
            assert parse_place(application.place).offset == parse_place(place).offset + 2
            async with open_websocket_url(f"{other.url}x?after={place}") as elsewhere:
                assert await heard(elsewhere, 2) == ["second", "third"]
            assert (await fetch(one.url, "/x", headers={"Accept": "application/json"})).value["messages"] == 3


async def test_each_kind_of_client_can_inflate_what_it_gets(tmp_path: Path) -> None:
    """What is compressed refers to what was sent before, which differs from one kind to the other."""
    texts = [f'{{"number": {number}, "text": "{number % 7 * "the same words, "}"}}' for number in range(60)]
    async with two(tmp_path, order="node", compress_min=1) as (_, one, other), AsyncExitStack() as stack:

        async def come(url: str, *, resume: bool = False) -> Client:
            return await stack.enter_async_context(open_client(url, compress=True, resume=resume))

        talker, far = await come(f"{one.url}x"), await come(f"{other.url}x")
        plain = [await come(f"{one.url}x") for _ in range(3)]
        past = [await come(f"{one.url}x?last=1") for _ in range(3)]
        resuming = await come(f"{one.url}x", resume=True)
        # Now and then so many come from elsewhere that what is compressed begins anew for all.
        for start in range(0, len(texts), 10):
            early, later = texts[start : start + 5], texts[start + 5 : start + 10]
            for text in early:
                await talker.send(text)
            for client in plain:
                assert await heard(client, 5) == early
            for text in later:
                await far.send(text)
            for client in (talker, *plain):
                assert await heard(client, 5) == later
        for client in (*past, resuming):
            assert await heard(client, len(texts)) == texts
        assert one.counters.compression_bytes_out < one.counters.compression_bytes_in
        assert one.counters.contexts_begun <= 12  # not for each kind again whenever the other had something


async def test_what_is_said_here_counts_once(tmp_path: Path) -> None:
    async with two(tmp_path, order="node") as (_, one, other):
        async with (
            open_websocket_url(f"{one.url}x") as a,
            open_websocket_url(f"{one.url}x") as b,
            one.hub.subscribe("/x") as application,
        ):
            for number in range(5):
                await a.send_message(f"{number}")
            expected = [f"{number}" for number in range(5)]
            assert await heard(b, 5) == [await anext(application) for _ in range(5)] == expected
            await other.hub.publish("/x", "from elsewhere")
            assert await anext(application) == "from elsewhere"
            answer = await fetch(one.url, "/x", headers={"Accept": "application/json"})
            assert answer.value["messages"] == 6
            assert parse_place(application.place).offset == 6


async def test_whom_the_application_excludes_gets_it_neither_early_nor_late(tmp_path: Path) -> None:
    async with two(tmp_path, order="node") as (_, one, other):
        async with (
            open_websocket_url(f"{one.url}x") as a,
            open_websocket_url(f"{one.url}x") as b,
            open_websocket_url(f"{other.url}x") as far,
        ):
            is_a, _ = one.hub.members("/x")
            assert await one.hub.publish("/x", "not to a", exclude=is_a) == 1
            assert one.hub.publish_nowait("/x", "nor this", exclude=[is_a]) == 1
            await one.hub.publish("/x", "to all")
            everything = ["not to a", "nor this", "to all"]
            assert await heard(b, 3) == await heard(far, 3) == everything
            assert await heard(a, 1) == ["to all"]
            await far.send_message("the last")
            assert await heard(a, 1) == await heard(b, 1) == ["the last"]
