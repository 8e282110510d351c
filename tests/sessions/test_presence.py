"""Who is in a room, as clients are told: by heads, by events, and by a room's stats."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
import trio.testing
from helpers.http_client import HttpPeer, asking, fetch, head_of
from helpers.raw_peer import TEXT, Peer, connected, request
from helpers.server import Serving, serving, unharmed
from helpers.virtual_server import served

from trioecho.client import Reconnect, open_client

ADA, BO, MAILER = "ada-5d04b68a1c5e", "bo-9f3c2a7e51d0", "mailer-c5e51d04b68a"
TOKENS = {"ada": ADA, "bo": BO}
OFFER = {b"Sec-WebSocket-Protocol": b"trioecho.v1"}


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@asynccontextmanager
async def watching(server: Serving, token: str, target: str = "/room?presence=1") -> AsyncIterator[Peer]:
    """A client of ``trioecho.v1`` with a name that asks who is there; its first head is read."""
    async with connected(server.url) as peer:
        headers = {**OFFER, b"Authorization": b"Bearer " + token.encode()}
        await peer.send(request(target.encode(), headers=headers))
        assert b" 101 " in await peer.read_until(b"\r\n\r\n")
        assert "epoch" in json.loads((await peer.read_frame())[1])
        yield peer


async def presence(peer: Peer) -> dict[str, Any]:
    opcode, payload = await peer.read_frame()
    head = json.loads(payload)
    assert opcode == TEXT and [*head] == ["count", "presence"] and head["count"] == 0
    found: dict[str, Any] = head["presence"]
    return found


@asynccontextmanager
async def listening(server: Serving, token: str, target: str = "/room?presence=1") -> AsyncIterator[HttpPeer]:
    """A reader of events that asks who is there."""
    async with asking(server.url) as peer:
        await peer.send(head_of(target, headers={"Accept": "text/event-stream", **bearer(token)}))
        await peer.read_until(b"listening\n\n")
        await peer.read_until(b"\n\n")
        yield peer


async def event(peer: HttpPeer) -> dict[str, Any]:
    lines = (await peer.read_until(b"\n\n")).decode().splitlines()
    assert lines[0] == "event: presence" and len(lines) == 3 and not lines[2]
    found: dict[str, Any] = json.loads(lines[1].removeprefix("data: "))
    return found


async def test_heads_events_and_stats_name_the_same_members() -> None:
    async with serving(token=TOKENS) as server, watching(server, ADA) as ada:
        first = await presence(ada)
        (herself,) = first["here"]
        assert first == {"named": 1, "unnamed": 0, "here": [herself]} and herself["name"] == "ada"
        async with listening(server, BO) as bo:
            came = await presence(ada)
            (him,) = came["came"]
            assert came == {"named": 2, "unnamed": 0, "came": [him], "left": []} and him["name"] == "bo"
            here = {"named": 2, "unnamed": 0, "here": [herself, him]}
            assert await event(bo) == here
            stats = await fetch(server.url, "/room", headers={"Accept": "application/json", **bearer(BO)})
            assert stats.value["members"] == here
            # It stands between messages, and changes no place.
            await server.server.hub.publish("/room", "a message")
            assert json.loads((await ada.read_frame())[1])["count"] == 1
            assert (await ada.read_frame())[1] == b"a message"
        gone = await presence(ada)
        assert gone == {"named": 1, "unnamed": 0, "came": [], "left": [him["id"]]}


async def test_without_names_numbers_are_told() -> None:
    async with unharmed() as server, connected(server.url) as plain:
        await plain.shake_hands(request(b"/room"))
        async with asking(server.url) as events:
            await events.send(head_of("/room?presence=1", headers={"Accept": "text/event-stream"}))
            await events.read_until(b"event: presence\ndata: ")
            told = json.loads(await events.read_until(b"\n\n"))
            assert told == {"named": 0, "unnamed": 2, "here": []}
        stats = (await fetch(server.url, "/elsewhere", headers={"Accept": "application/json"})).value
        assert stats["members"] == {"named": 0, "unnamed": 0, "here": []}


async def test_who_does_not_ask_gets_the_same_bytes_as_without_presence(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """The same with one beside them who watches, one who does not, and with presence off."""
    heard: dict[tuple[bool, str], list[list[Any]]] = {}
    for presence in (True, False):
        for beside in ("/room", "/room?presence=1"):
            async with served(token=TOKENS, presence=presence) as (server, join):
                plain = await join("/room?presence=1", token=ADA)  # and has no way to be told
                headed = await join("/room?presence=0", token=ADA, protocol="trioecho.v1")
                other = await join(beside, token=BO, protocol="trioecho.v1")
                nobody = await join("/room", token=BO)
                lists: list[list[Any]] = [[], []]
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(plain.listen, lists[0])
                    nursery.start_soon(headed.listen, lists[1])
                    nursery.start_soon(other.listen, [])
                    nursery.start_soon(nobody.listen, [])
                    await trio.sleep(5)
                    await server.hub.publish("/room", "hello")
                    await other.send("hello yourself")
                    await other.close()
                    await trio.sleep(5)
                    nursery.cancel_scope.cancel()
            epoch = json.loads(lists[1][0][1])["epoch"]
            lists[1] = [[kind, str(said).replace(epoch, "")] for kind, said in lists[1]]
            heard[presence, beside] = lists
    first, *rest = heard.values()
    assert first[0] == [("text", "hello"), ("text", "hello yourself")] and len(first[1]) == 5
    assert all(each == first for each in rest)


async def test_whoever_may_not_subscribe_is_told_nothing(tmp_path: Any) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text(f"ada {ADA}\nmailer {MAILER} rights=publish\n")
    tokens.chmod(0o600)
    async with unharmed_but_for_tokens(tokens) as server:
        for accept in ("text/event-stream", "application/json"):
            headers = {"Accept": accept, **bearer(MAILER)}
            answer = await fetch(server.url, "/room?presence=1", headers=headers)
            assert answer.status == 403 and "ada" not in answer.text
        async with connected(server.url) as peer:
            token = b"Bearer " + MAILER.encode()
            await peer.send(request(b"/room?presence=1", headers={**OFFER, b"Authorization": token}))
            assert b" 403 " in await peer.read_until(b"\r\n")


@asynccontextmanager
async def unharmed_but_for_tokens(tokens: Any) -> AsyncIterator[Serving]:
    async with serving(token_file=tokens) as server:
        async with watching(server, ADA) as ada:
            await presence(ada)
            yield server
        assert not server.tracebacks


async def test_where_presence_is_off_nothing_is_said_of_members() -> None:
    async with serving(token=TOKENS, presence=False) as server, watching(server, ADA) as ada:
        stats = await fetch(server.url, "/room", headers={"Accept": "application/json", **bearer(BO)})
        assert "members" not in stats.value and "ada" not in stats.text
        await trio.sleep(0.3)
        await server.server.hub.publish("/room", "the first thing said")
        assert json.loads((await ada.read_frame())[1])["count"] == 1


@pytest.mark.parametrize(
    ("query", "words"),
    [("presence=yes", "must be 1 or 0"), ("presence", "must be 1 or 0"), ("presence=1&presence=1", "once")],
)
async def test_a_wrong_question_is_answered_with_a_sentence(query: str, words: str) -> None:
    async with unharmed() as server:
        for headers in ({"Accept": "text/event-stream"}, {}):
            async with asking(server.url) as peer:
                if headers:
                    await peer.send(head_of(f"/room?{query}", headers=headers))
                else:
                    await peer.send(request(f"/room?{query}".encode()))
                answer = await peer.read_answer()
                assert answer.status == 400 and words in answer.text and answer.text.count("\n") == 1


async def test_our_client_resumes_in_an_address_that_asks_for_presence() -> None:
    async with unharmed() as server:
        url = f"{server.url}room?presence=1"
        async with open_client(url, reconnect=Reconnect(), resume=True) as client:
            await trio.sleep(0.3)  # who is there comes first, and is no message
            for text in ("one", "two"):
                await server.server.hub.publish("/room", text)
            assert [await anext(client), await anext(client)] == ["one", "two"]
            assert client.place is not None and client.place.endswith("-2")
