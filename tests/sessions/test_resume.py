"""Coming back to a place over real sockets: by WebSocket, by events, and what is wrong with a place."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path

import pytest
import trio
import trio.testing
from helpers.heads import Heads
from helpers.http_client import asking, fetch, head_of
from helpers.raw_peer import TEXT, Peer, connected, frame, request
from helpers.server import Serving, serving, unharmed

from trioecho.rooms.batch import Batch, Origin
from trioecho.rooms.hub import registry_of

TOKENS = f"writer {'writer' * 5} rights=publish\nreader {'reader' * 5} rights=subscribe\n"

EVENTS = {"Accept": "text/event-stream"}
OFFER = {b"Sec-WebSocket-Protocol": b"trioecho.v1"}


@asynccontextmanager
async def speaking(server: Serving, target: str) -> AsyncIterator[Peer]:
    """A client of ``trioecho.v1`` in a room."""
    async with connected(server.url) as peer:
        await peer.send(request(target.encode(), headers=OFFER))
        head = await peer.read_until(b"\r\n\r\n")
        assert b"\r\nSec-WebSocket-Protocol: trioecho.v1\r\n" in head
        yield peer


async def hear(peer: Peer, client: Heads, until: int) -> None:
    """Read until a client is at an offset."""
    client.connected()
    while client.offset < until or client._left:
        opcode, payload = await peer.read_frame()
        client.take(payload.decode() if opcode == TEXT else payload)


async def place_of(server: Serving, room: str) -> str:
    """Return where a room is now."""
    found = registry_of(server.server.hub).room(room)
    assert found is not None
    await found.flush()
    return str(found.history.place)


async def test_a_client_of_v1_comes_back_to_what_it_missed() -> None:
    async with unharmed() as server:
        client = Heads()
        async with speaking(server, "/room") as peer:
            assert (await peer.read_frame())[0] == TEXT
            for number in range(5):
                await server.server.hub.publish("/room", str(number))
            client.offset = -1
            await hear(peer, client, 5)
            await peer.send(frame(TEXT, b"what I say stays a plain message"))
        await server.event("disconnected", room="/room")
        for number in range(6, 10):
            assert await server.server.hub.publish("/room", str(number)) == 0
        async with speaking(server, f"/room?after={client.place}") as peer:
            await hear(peer, client, 10)
        # Under --to others, one's own may come back to one after a resume.
        assert client.heard == [*"01234", "what I say stays a plain message", *"6789"]
        assert client.numbers == list(range(1, 11)) and not client.missed


async def test_a_plain_client_gets_the_past_as_plain_messages() -> None:
    async with unharmed() as server, connected(server.url) as there:
        await there.shake_hands(request(b"/room"))
        said: list[bytes] = []

        async def say(text: str) -> None:
            await server.server.hub.publish("/room", text)
            said.append(text.encode())

        for number in range(5):
            await say(str(number))
        place = await place_of(server, "/room")
        epoch = place.partition("-")[0]
        for query, begin in (
            (f"after={epoch}-3", 3),
            ("last=2", -2),
            (f"after={place}", 5),
            ("after=zzzzzzzz-7", 0),
            (f"after={epoch}-999999999999999", 0),
            ("other=1&last=999999999&b", 0),
            (f"x=%61&after={epoch}%2D1", 1),
            ("last=0", None),
        ):
            expected = said[len(said) if begin is None else begin :]
            async with connected(server.url) as peer:
                await peer.shake_hands(request(f"/room?{query}".encode()))
                await say(f"then {query}")
                heard = [(await peer.read_frame())[1] for _ in range(len(expected) + 1)]
            assert heard == [*expected, said[-1]], query


WRONG = {
    "after=": "a place is 8 letters and digits",
    "after=1042": "not 1042",
    "after=k3x9f2aa-" + "9" * 1000: "not k3x9f2aa-999",
    "after=k3x9f2aa-1&after=k3x9f2aa-2": "more than once",
    "after=%1b%5b2J%0d%0aX: y": "not \\x1b[2J",
    "last=": "whole number",
    "last=-1": "whole number",
    "last=1.5": "whole number",
    "last=" + "9" * 1000: "whole number",
    "last=%D9%A3": "whole number",
}


@pytest.mark.parametrize("query", WRONG)
async def test_a_wrong_place_is_answered_with_one_sentence(query: str) -> None:
    async with unharmed() as server:
        target = f"/room?{query.replace(' ', '%20')}"
        for headers in (EVENTS, {"Accept": "application/x-ndjson"}):
            answer = await fetch(server.url, target, headers=headers)
            assert answer.status == 400
            assert WRONG[query] in answer.text and len(answer.text) < 300 and answer.text.count("\n") == 1
        async with connected(server.url) as peer:
            await peer.send(request(target.encode()))
            status, _, body = await peer.read_response()
            assert status == 400 and WRONG[query] in body.decode()


async def read_events(peer: Peer, until: bytes) -> list[tuple[str, str, str]]:
    """Read events up to one whose data ends with ``until``: each as id, event and data."""
    found = []
    while True:
        fields = {"id": "", "event": "", "data": ""}
        for line in (await peer.read_until(b"\n\n")).decode().splitlines():
            name, _, value = line.partition(": ")
            if name in fields:
                fields[name] = value
        if fields["id"]:
            found.append((fields["id"].partition("-")[2], fields["event"], fields["data"]))
        if fields["data"].encode().endswith(until):
            return found


@asynccontextmanager
async def listening(server: Serving, target: str = "/room", **more: str) -> AsyncIterator[Peer]:
    async with asking(server.url) as peer:
        await peer.send(
            head_of(target, headers={**EVENTS, **{k.replace("_", "-"): v for k, v in more.items()}})
        )
        yield peer


async def test_a_listener_comes_back_by_the_id_of_its_last_event() -> None:
    async with unharmed(history=3) as server:
        async with listening(server) as peer:
            await server.event("connected", room="/room")
            for number in range(3):
                await server.server.hub.publish("/room", str(number))
            assert await read_events(peer, b"2") == [
                ("0", "", ""),
                ("1", "", "0"),
                ("2", "", "1"),
                ("3", "", "2"),
            ]
            epoch = (await place_of(server, "/room")).partition("-")[0]
        await server.event("disconnected", room="/room")
        for number in range(3, 50):
            await server.server.hub.publish("/room", str(number))
        # Last-Event-ID goes before the address, which a browser sends again as it was.
        async with listening(server, "/room?last=1", Last_Event_ID=f"{epoch}-48") as peer:
            assert await read_events(peer, b"49") == [("48", "", ""), ("49", "", "48"), ("50", "", "49")]
        async with listening(server, Last_Event_ID=f"{epoch}-3") as peer:
            events = await read_events(peer, b"49")
            first, event, missed = events[0]
            assert event == "missed" and int(missed) == int(first) - 3 > 0
            assert [data for _, _, data in events[1:]] == [str(number) for number in range(int(first), 50)]
        for nowhere in ("zzzzzzzz-3", "1732445000:0", "x" * 5_000):
            async with listening(server, Last_Event_ID=nowhere) as peer:
                events = await read_events(peer, b"49")
                assert events[0][1:] == ("missed", "unknown")
        assert server.server.counters.messages_missed == int(missed)
        assert server.server.counters.places_unknown == 3


async def test_a_slow_listener_is_told_what_a_policy_dropped() -> None:
    bounds = {"max_pending_bytes": 2**20, "max_message_size": 2**20}
    async with serving(when_slow="drop-newest", **bounds) as server:  # type: ignore[arg-type]
        async with listening(server) as peer:
            peer.take_little()
            await server.event("connected", room="/room")
            said = 0
            while not server.find("dropping", room="/room"):
                await server.server.hub.publish("/room", f"{said} ".ljust(100_000, "."))
                await place_of(server, "/room")
                said += 1
            events: list[tuple[str, str, str]] = []

            async def read() -> None:
                nonlocal events
                events = await read_events(peer, b"the end")

            async with trio.open_nursery() as nursery:
                nursery.start_soon(read)
                while not events:  # until the listener has taken so much that there is space again
                    await server.server.hub.publish("/room", "the end")
                    said += 1
                    await place_of(server, "/room")
                    await trio.testing.wait_all_tasks_blocked()
            last = int(events[-1][0])
            heard = [data for _, event, data in events if data and event != "missed"]
            missed = [int(data) for _, event, data in events if event == "missed"]
            assert missed and last == len(heard) + sum(missed) <= said


async def test_recent_messages_are_lines_of_json() -> None:
    async with unharmed(history=1_000_000, history_bytes=2**30) as server:
        room = "/röom"
        ask = "/r%C3%B6om"
        began = time.time()
        lines = {"Accept": "application/x-ndjson"}
        answer = await fetch(server.url, ask, headers=lines)
        assert (answer.status, answer.body) == (200, b"")
        for message in ("héllo\n", b"\x00\xff", ""):
            await server.server.hub.publish(room, message)
        answer = await fetch(server.url, ask, headers=lines)
        assert answer.headers["content-type"] == "application/x-ndjson"
        assert answer.headers["cache-control"] == "no-store"
        found = [json.loads(line) for line in answer.text.splitlines()]
        epoch = found[0]["id"].partition("-")[0]
        for line in found:
            assert began - 1 < datetime.fromisoformat(line.pop("time")).timestamp() < time.time() + 1
        assert found == [
            {"id": f"{epoch}-1", "type": "text", "room": room, "data": "héllo\n"},
            {"id": f"{epoch}-2", "type": "binary", "room": room, "base64": "AP8="},
            {"id": f"{epoch}-3", "type": "text", "room": room, "data": ""},
        ]
        assert answer.headers["trioecho-place"] == f"{epoch}-3"
        assert "trioecho-missed" not in answer.headers
        for query, numbers in ((f"after={epoch}-1", [2, 3]), ("last=1", [3]), (f"after={epoch}-3", [])):
            answer = await fetch(server.url, f"{ask}?{query}", headers=lines)
            assert [json.loads(line)["id"] for line in answer.text.splitlines()] == [
                f"{epoch}-{number}" for number in numbers
            ]
        answer = await fetch(server.url, f"{ask}?after=zzzzzzzz-1", headers=lines)
        assert answer.headers["trioecho-missed"] == "unknown" and answer.text.count("\n") == 3
        assert (await fetch(server.url, ask, method="HEAD", headers=lines)).status == 200
        # A long past comes in parts.
        for number in range(100):
            await server.server.hub.publish(room, f"{number} ".ljust(30_000, "."))
        place, heard = f"{epoch}-3", []
        for _ in range(10):
            answer = await fetch(server.url, f"{ask}?after={place}", headers=lines)
            assert len(answer.body) < 1_200_000
            place = answer.headers["trioecho-place"]
            heard += [json.loads(line)["data"] for line in answer.text.splitlines()]
        assert [int(data.split()[0]) for data in heard] == list(range(100))
    # What was fanned out together may be much more than fits into one response.
    async with serving(history=1_000_000, history_bytes=2**30) as server:
        with registry_of(server.server.hub).hold("/") as held:
            await held.publish(Batch(Origin.APPLICATION, b"\x81\x00" * 100_000, 100_000))
            await held.flush()
            answer = await fetch(server.url, headers=lines)
            assert len(answer.body) < 1_200_000
            count = answer.text.count("\n")
            assert answer.headers["trioecho-place"].endswith(f"-{count}")
            answer = await fetch(server.url, f"/?after={answer.headers['trioecho-place']}", headers=lines)
            assert json.loads(answer.text.partition("\n")[0])["id"].endswith(f"-{count + 1}")
    async with serving(history=0) as server:
        assert (await fetch(server.url, headers=lines)).status == 406


async def test_what_was_said_in_a_room_is_read_only_by_who_may_subscribe_to_it(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    file.write_text(TOKENS)
    async with serving(token_file=file) as server:
        writer, reader = ({"Authorization": f"Bearer {name * 5}"} for name in ("writer", "reader"))
        sent = await fetch(server.url, "/room", method="POST", body=b"secret", headers=writer)
        assert sent.status == 202
        for accept in ("text/event-stream", "application/x-ndjson"):
            for credentials, status in ((writer, 403), ({}, 401)):
                headers = {"Accept": accept, **credentials}
                answer = await fetch(server.url, "/room?last=10", headers=headers)
                assert answer.status == status and b"secret" not in answer.body
        answer = await fetch(server.url, "/room", headers={"Accept": "application/x-ndjson", **reader})
        assert json.loads(answer.text)["base64"] == "c2VjcmV0"
        async with connected(server.url) as peer:
            await peer.send(
                request(b"/room?last=10", headers={b"Authorization": f"Bearer {'writer' * 5}".encode()})
            )
            status, _, body = await peer.read_response()
            assert status == 403 and b"secret" not in body
