"""``/status`` as JSON: what it says of a server, to whom, and what it costs."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace

import pytest
import trio
from helpers.http_client import fetch
from helpers.raw_peer import TEXT, frame, joined
from helpers.server import Serving, serving
from hypothesis import given
from hypothesis import strategies as st

from trioecho.web import server_status
from trioecho.web.kept import Slices
from trioecho.web.largest import Largest
from trioecho.web.status import (
    MOST_CLIENTS,
    MOST_ROOMS,
    ClientStatus,
    NodeStatus,
    RoomStatus,
    Status,
    StatusError,
    parse_status,
    together,
)

ADDRESS = "127.0.0.1:0"


def monitoring(server: Serving) -> str:
    return server.server.metrics_urls[0]


async def status_of(url: str) -> Status:
    answer = await fetch(url, "/status")
    assert answer.status == 200 and answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    return parse_status(answer.body)


async def test_it_counts_what_was_said_and_heard() -> None:
    async with serving(metrics_address=ADDRESS) as server:
        async with joined(server.url, b"/room") as one, joined(server.url, b"/room") as other:
            before = (await status_of(monitoring(server))).nodes[0]
            assert (before.websocket, before.events, before.rooms) == (2, 0, 1)
            assert before.messages_in == before.messages_out == 0 and not before.stopping
            assert before.engine_up is None and before.pid is not None
            await one.send(frame(TEXT, b"hello") * 10)
            for _ in range(10):
                await other.read_frame()
            with trio.fail_after(20):
                while (found := await status_of(monitoring(server))).nodes[0].messages_out < 10:  # noqa: ASYNC110
                    await trio.sleep(0.01)
            (node,) = found.nodes
            assert node.node == before.node and node.at > before.at and node.cpu > before.cpu
            assert (node.messages_in, node.messages_out) == (10, 10)
            assert node.bytes_in == node.bytes_out == 7 * 10  # without the mask
            assert found.rooms == (RoomStatus(room="/room", subscribers=2, messages=10),)
            assert not found.clients and found.names


async def test_who_does_not_read_is_named_with_what_waits() -> None:
    options = {"metrics_address": ADDRESS, "when_slow": "drop-newest", "max_pending_bytes": 400_000}
    async with serving(**options, max_message_size=100_000) as server:  # type: ignore[arg-type]
        async with joined(server.url, b"/r") as one, joined(server.url, b"/r"):  # who reads nothing
            with trio.fail_after(60):
                while not (found := await status_of(monitoring(server))).clients or (
                    not found.clients[0].dropped
                ):
                    await one.send(frame(TEXT, b"x" * 50_000) * 20)
            (client,) = found.clients
            assert client.room == "/r" and client.kind == "websocket"
            assert client.address is not None and client.address.startswith("127.0.0.1:")
            assert 0 < client.pending_bytes <= 400_000
            assert found.nodes[0].dropped >= client.dropped and found.nodes[0].pending_bytes > 0


async def test_beside_the_rooms_nobody_is_named() -> None:
    async with serving() as server, joined(server.url, b"/secret"):
        answer = await fetch(server.url, "/status")
        assert b"secret" not in answer.body and b"127.0.0.1" not in answer.body
        found = parse_status(answer.body)
        assert not found.names and found.nodes[0].host is None and found.nodes[0].pid is None
        assert found.rooms == (RoomStatus(room=None, subscribers=1, messages=0),)


async def test_the_lists_have_an_end() -> None:
    async with serving(metrics_address=ADDRESS) as server, trio.open_nursery() as nursery:
        ready = trio.Semaphore(0)

        async def stay(path: bytes) -> None:
            async with joined(server.url, path):
                ready.release()
                await trio.sleep_forever()

        for number in range(MOST_ROOMS + 5):
            for _ in range(1 + (number == 3)):
                nursery.start_soon(stay, b"/%d" % number)
        for _ in range(MOST_ROOMS + 6):
            await ready.acquire()
        found = await status_of(monitoring(server))
        assert len(found.rooms) == MOST_ROOMS and found.nodes[0].rooms == MOST_ROOMS + 5
        assert found.rooms[0] == RoomStatus(room="/3", subscribers=2, messages=0)
        nursery.cancel_scope.cancel()


async def test_it_can_be_turned_off_and_takes_only_what_it_should() -> None:
    async with serving(status=False) as server:
        assert "Send a message" not in (await fetch(server.url, "/status")).text
        assert (await fetch(server.url, "/status")).headers["content-type"].startswith("text/plain")
    async with serving() as server:
        assert (await fetch(server.url, "/status", method="POST")).status == 405


async def test_a_browser_gets_the_page_small_and_the_same_for_all() -> None:
    async with serving() as server:
        accept = {"Accept": "text/html,*/*;q=0.8"}
        plain = await fetch(server.url, "/status", headers=accept)
        small = await fetch(server.url, "/status", headers={**accept, "Accept-Encoding": "gzip"})
        assert plain.headers["content-type"] == "text/html; charset=utf-8"
        assert small.headers["content-encoding"] == "gzip" and len(small.body) < len(plain.body) / 2
        assert gzip.decompress(small.body) == plain.body
        policy = plain.headers["content-security-policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy
        assert "Accept" in plain.headers["vary"]


async def test_asking_again_at_once_costs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    worked = 0
    work_out = server_status._Survey.take

    async def counted(self: server_status._Survey, slices: Slices) -> Status:
        nonlocal worked
        worked += 1
        await trio.sleep(0.05)  # as with many clients
        return await work_out(self, slices)

    monkeypatch.setattr(server_status._Survey, "take", counted)
    async with serving() as server, trio.open_nursery() as nursery:
        for _ in range(30):
            nursery.start_soon(fetch, server.url, "/status")
    assert worked <= 3  # it is kept for a second, and the machine may be busy


# Several as one.

NODE = NodeStatus(
    node="a",
    host="h",
    pid=1,
    at=1.0,
    cpu=0.5,
    stopping=False,
    websocket=1,
    events=0,
    http=0,
    rooms=1,
    connected=1,
    messages_in=0,
    messages_out=0,
    bytes_in=0,
    bytes_out=0,
    dropped=0,
    pending_bytes=0,
    held_bytes=0,
    engine_up=True,
    engine_round_trip=0.001,
    engine_unconfirmed=0,
)


def status(*rooms: RoomStatus, clients: tuple[ClientStatus, ...] = ()) -> Status:
    return Status(names=True, missing=0, nodes=(NODE,), rooms=rooms, clients=clients)


def room(name: str | None, subscribers: int, messages: int = 0) -> RoomStatus:
    return RoomStatus(room=name, subscribers=subscribers, messages=messages)


def client(pending: int) -> ClientStatus:
    return ClientStatus(
        address="a:1", room="/r", kind="events", pending_bytes=pending, dropped=0, full_for=0.0
    )


def test_shared_rooms_are_added_up_and_their_messages_counted_once() -> None:
    both = together([status(room("/a", 2, 7), room("/b", 4)), status(room("/a", 3, 9))], missing=1)
    assert both.rooms == (room("/a", 5, 9), room("/b", 4))
    assert both.missing == 1 and len(both.nodes) == 2
    # Rooms without names can't be the same one.
    assert len(together([status(room(None, 1)), status(room(None, 1))]).rooms) == 2


def test_of_many_the_largest_are_kept() -> None:
    many = [
        status(
            *(room(f"/{part}-{n}", part * 20 + n) for n in range(20)),
            clients=tuple(client(part * 20 + n) for n in range(20)),
        )
        for part in range(3)
    ]
    both = together(many)
    assert [each.subscribers for each in both.rooms] == list(range(59, 39, -1))
    assert [each.pending_bytes for each in both.clients] == list(range(59, 39, -1))
    assert len(both.clients) == MOST_CLIENTS


@given(st.lists(st.integers(0, 50), max_size=60), st.integers(1, 8))
def test_the_largest_of_any_are_the_first_of_all_in_order(sizes: list[int], most: int) -> None:
    largest = Largest[int](most)
    for number, size in enumerate(sizes):
        largest.add(size, number)
    ordered = sorted(range(len(sizes)), key=lambda number: (-sizes[number], number))
    assert largest.in_order() == ordered[:most]


# What is read may come from anybody.


def test_what_was_written_is_read() -> None:
    whole = status(room("/ü\x1b[2J", 1), clients=(client(3),))
    assert parse_status(whole.to_json()) == whole
    assert parse_status(whole.without_names().to_json()) == whole.without_names()


def test_a_status_of_another_version_is_read_as_far_as_it_is_known() -> None:
    value = json.loads(status().to_json())
    del value["nodes"][0]["held_bytes"]
    value["nodes"][0]["more"] = [1]
    value["later"] = {}
    assert parse_status(json.dumps(value).encode()) == status()


@pytest.mark.parametrize(
    "wrong",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b"\xff",
        b"[" * 100_000,
        status().to_json().replace(b'"websocket":1', b'"websocket":"1"'),
        status().to_json().replace(b'"websocket":1', b'"websocket":true'),
        status().to_json().replace(b'"websocket":1', b'"websocket":1e400'),
        status().to_json().replace(b'"at":1.0', b'"at":NaN'),
        status().to_json().replace(b'"at":1.0', b'"at":' + b"9" * 5000),
        status().to_json().replace(b'"rooms":[]', b'"rooms":[3]'),
        status().to_json().replace(b'"rooms":[]', b'"rooms":{}'),
    ],
)
def test_what_is_no_status_is_one_error(wrong: bytes) -> None:
    with pytest.raises(StatusError, match="it is no status of trioecho's"):
        parse_status(wrong)


def test_no_more_is_read_than_there_may_be() -> None:
    many = replace(status(), rooms=tuple(room(f"/{n}", 1) for n in range(1000)))
    assert len(parse_status(many.to_json()).rooms) == MOST_ROOMS
