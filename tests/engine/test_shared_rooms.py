"""One room on several servers, as clients see it."""

from __future__ import annotations

import json
import logging
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
from helpers.engine_server import engine_server
from helpers.heads import Heads
from helpers.http_client import fetch
from helpers.two_servers import PATIENCE, two
from trio_websocket import WebSocketConnection, open_websocket_url

import trioecho
from trioecho import OptionError, Server, Settings
from trioecho.engine.engine import Engine
from trioecho.engine_url import parse_engine_url
from trioecho.rooms.hub import registry_of


def engine_of(server: Server) -> Engine:
    """Return the engine behind a server."""
    logs = registry_of(server.hub).logs
    assert isinstance(logs, Engine)
    return logs


async def heard(client: WebSocketConnection, count: int) -> list[str]:
    """Return the next messages of a client."""
    return [str(await client.get_message()) for _ in range(count)]


async def test_everybody_on_both_servers_hears_the_same_in_the_same_order(tmp_path: Path) -> None:
    async with two(tmp_path, to="everyone") as (_, one, other):
        urls = [f"{server.url}room" for server in (one, one, other, other)]
        async with (
            open_websocket_url(urls[0]) as a,
            open_websocket_url(urls[1]) as b,
            open_websocket_url(urls[2]) as c,
            open_websocket_url(urls[3]) as d,
        ):
            clients = (a, b, c, d)

            async def talk(name: str, client: WebSocketConnection) -> None:
                for number in range(50):
                    await client.send_message(f"{name}{number}")

            async with trio.open_nursery() as nursery:
                for name, client in zip("abcd", clients, strict=True):
                    nursery.start_soon(talk, name, client)
            orders = [await heard(client, 200) for client in clients]
            assert orders[0] == orders[1] == orders[2] == orders[3]
            assert [text for text in orders[0] if text.startswith("c")] == [f"c{n}" for n in range(50)]


async def test_a_sender_does_not_hear_itself_and_a_post_and_the_application_reach_all(tmp_path: Path) -> None:
    async with two(tmp_path) as (_, one, other):
        async with open_websocket_url(f"{one.url}x") as a, open_websocket_url(f"{other.url}x") as b:
            await a.send_message("from a")
            assert await heard(b, 1) == ["from a"]
            answer = await fetch(
                other.url, "/x", method="POST", body=b"posted", headers={"Content-Type": "text/plain"}
            )
            assert (answer.status, answer.value["receivers"]) == (202, 1)
            assert await one.hub.publish("/x", "published") == 1
            assert await heard(a, 2) == await heard(b, 2) == ["posted", "published"]


async def test_with_to_sender_only_what_the_application_says_is_shared(tmp_path: Path) -> None:
    async with two(tmp_path, to="sender") as (_, one, other):
        async with open_websocket_url(f"{one.url}x") as a, open_websocket_url(f"{other.url}x") as b:
            await a.send_message("echo")
            assert await heard(a, 1) == ["echo"]
            await other.hub.publish("/x", "to all")
            assert await heard(a, 1) == await heard(b, 1) == ["to all"]


async def test_what_was_said_on_one_server_is_remembered_on_the_other(tmp_path: Path) -> None:
    async with two(tmp_path) as (_, one, other):
        for number in range(5):
            await one.hub.publish("/news", f"{number}")
        async with open_websocket_url(f"{other.url}news?last=3") as late:
            assert await heard(late, 3) == ["2", "3", "4"]
        answer = await fetch(other.url, "/news?last=2", headers={"Accept": "application/x-ndjson"})
        assert [json.loads(line)["data"] for line in answer.text.splitlines()] == ["3", "4"]
        place = answer.headers["trioecho-place"]
        assert place.endswith("-5")
        await other.hub.publish("/news", "5")
        async with one.hub.subscribe("/news", after=place) as news:
            assert (await anext(news), news.missed) == ("5", 0)


async def test_a_client_that_comes_back_to_another_server_misses_nothing(tmp_path: Path) -> None:
    async with two(tmp_path) as (_, one, other):
        heads = Heads()
        async with open_websocket_url(f"{one.url}news", subprotocols=["trioecho.v1"]) as client:
            heads.connected()
            await other.hub.publish("/news", "first")
            while not heads.heard:
                heads.take(await client.get_message())
        for text in ("second", "third"):
            await one.hub.publish("/news", text)
        async with open_websocket_url(
            f"{other.url}news?after={heads.epoch}-{heads.offset}", subprotocols=["trioecho.v1"]
        ) as client:
            heads.connected()
            while len(heads.heard) < 3:
                heads.take(await client.get_message())
        assert (heads.heard, heads.numbers) == (["first", "second", "third"], [1, 2, 3])
        assert heads.missed == []


async def test_an_engine_that_forgot_everything_is_told_to_who_understands_it(tmp_path: Path) -> None:
    async with two(tmp_path, tell_missed="missed %d") as (engine, one, other):
        async with open_websocket_url(f"{one.url}x") as a, open_websocket_url(f"{other.url}x") as b:
            await a.send_message("before")
            assert await heard(b, 1) == ["before"]
            engine.ask("FLUSHALL")
            await a.send_message("after")
            assert await heard(b, 2) == ["missed null", "after"]


async def test_metrics_and_readiness_say_how_the_engine_is(tmp_path: Path) -> None:
    async with two(tmp_path, engine_patience=0.2, when_engine_down="wait") as (engine, one, _):
        async with open_websocket_url(f"{one.url}x"):
            assert "trioecho_engine_up 1.0" in (await fetch(one.url, "/metrics")).text
            assert (await fetch(one.url, "/readyz")).status == 200
            engine.kill()
            with trio.fail_after(10):
                while (answer := await fetch(one.url, "/readyz")).status == 200:  # noqa: ASYNC110
                    await trio.sleep(0.05)
            assert answer.status == 503 and "engine" in answer.text
            await engine.start()
            while (await fetch(one.url, "/readyz")).status == 503:  # noqa: ASYNC110
                await trio.sleep(0.05)


async def test_what_is_taken_is_shared_before_a_server_ends(tmp_path: Path) -> None:
    with trio.fail_after(PATIENCE):
        async with two(tmp_path) as (_, one, other), open_websocket_url(f"{other.url}x") as listener:
            async with open_websocket_url(f"{one.url}x") as sender:
                for number in range(200):
                    await sender.send_message(f"{number}")
            await one.shutdown()
            assert await heard(listener, 200) == [f"{number}" for number in range(200)]


async def test_a_room_that_has_no_space_reads_on_when_it_has(tmp_path: Path) -> None:
    """A listener that does not take anything holds its room up on one server; the log is the buffer."""
    async with two(tmp_path, max_pending_bytes=2**20, stall_limit=15) as (_, one, other):
        async with one.hub.subscribe("/x") as slow:
            text = "x" * 20_000
            for number in range(150):
                await other.hub.publish("/x", f"{number} {text}")
            while not any(log.feed.state.value == "behind" for log in engine_of(one).logs.values()):  # noqa: ASYNC110
                await trio.sleep(0.05)
            assert [int(str(await anext(slow)).split()[0]) for _ in range(150)] == list(range(150))


# What the URL may be.


@pytest.mark.parametrize(
    ("url", "hosts", "user", "password", "database"),
    [
        ("redis://localhost", ["localhost:6379"], None, None, 0),
        ("redis://a,b:7000/3", ["a:6379", "b:7000"], None, None, 3),
        ("redis://:p%40ss@[::1]:7000/", ["[::1]:7000"], None, "p@ss", 0),
        ("rediss://me:s:cret@h?ca=/x.pem", ["h:6379"], "me", "s:cret", 0),
        ("unix:/run/r.sock?db=2", ["unix:/run/r.sock"], None, None, 2),
        ("unix://me:pass@/run/r.sock", ["unix:/run/r.sock"], "me", "pass", 0),
        ("unix:///run/r.sock", ["unix:/run/r.sock"], None, None, 0),
        ("redis+sentinel://:pass@a,b:7000/m", ["a:26379", "b:7000"], None, "pass", 0),
        ("rediss+sentinel://me:pass@a/m/2?ca=/x", ["a:26379"], "me", "pass", 2),
    ],
)
def test_a_url_names_hosts_and_who_one_is(
    url: str, hosts: list[str], user: str | None, password: str | None, database: int
) -> None:
    address = parse_engine_url(url)
    assert [str(host) for host in address.hosts] == hosts
    assert (address.user, address.password, address.database) == (user, password, database)
    assert password is None or password not in repr(address) + repr(Settings(engine=url))


def test_a_url_may_name_sentinels_and_what_they_ask_for() -> None:
    address = parse_engine_url("redis+sentinel://a/my%20own/3?sentinel_user=me&sentinel_password=s%26+cret")
    assert (address.primary, address.database, address.password) == ("my own", 3, None)
    assert (address.sentinel_user, address.sentinel_password) == ("me", "s&+cret")
    assert "cret" not in repr(address)


@pytest.mark.parametrize(
    ("url", "about"),
    [
        ("", "begin with redis://"),
        ("http://h", "begin with redis://"),
        ("redis:h", "// after redis:"),
        ("redis://", "name a host"),
        ("redis://h,,i", "name a host"),
        ("redis://h:0", "port"),
        ("redis://h:99999", "port"),
        ("redis://h/x", "number"),
        ("redis://h/1?db=2", "twice"),
        ("redis://h?ssl=1", "nothing else"),
        ("redis://h?ca=/x", "must begin with rediss"),
        ("rediss://h?key=/x", "without ?cert="),
        ("rediss://h?ca=/x%00", "%00"),
        ("unix:/x%00", "%00"),
        ("redis://h?sentinel_password=Gh7secret", "without sentinels"),
        ("redis+sentinel://me:Gh7secret@h", "name the primary"),
        ("redis+sentinel://h//0?sentinel_password=Gh7secret", "name the primary"),
        ("redis+sentinel://h/m/x", "number"),
        ("redis+sentinel://h/m?sentinel_user=me", "without ?sentinel_password="),
        ("rediss+sentinel://h/m?sentinel_password=Gh7secret&sentinel_password=Gh7", "each once"),
        ("unix+sentinel://h/m", "begin with redis://"),
        ("redis://Gh7secret@h", "user and a password"),
        ("redis://me:Gh7secret@h x", "space"),
        ("redis://me:Gh7#secret@h", "%23"),
        ("redis://me:Gh7secret@h:x", "port"),
        ("unix:run/r.sock", "whole path"),
        ("unix:/r?ca=/x", "no TLS"),
        (7, "URL"),
    ],
)
def test_a_wrong_url_is_named_in_one_sentence_without_what_is_secret(url: Any, about: str) -> None:
    with pytest.raises(OptionError) as caught:
        Settings(engine=url)
    assert about in str(caught.value) and caught.value.option == "engine"
    assert "Gh7" not in str(caught.value)


async def test_certificates_that_cannot_be_read_are_named_at_once() -> None:
    with pytest.raises(OptionError, match="cannot be read"):
        await trioecho.serve(port=0, engine="rediss://localhost?ca=/nowhere/ca.pem")


async def test_an_engine_that_wants_a_password_is_said_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "trioecho")
    with trio.fail_after(PATIENCE):
        async with engine_server(tmp_path) as engine, trio.open_nursery() as nursery:
            engine.ask("CONFIG", "SET", "requirepass", "Wk4right")
            for url in (engine.url, f"unix://:Gh7wrong@{engine.path}", f"unix://:Wk4right@{engine.path}"):
                server = await nursery.start(partial(trioecho.serve, port=0, engine=url))
                async with server.hub.subscribe("/x"):
                    pass
                await trio.sleep(0.3)
                await server.shutdown()
    text = caplog.text
    assert "wants a password" in text and "does not take this user and password" in text
    assert "engine-up" in text
    assert "Gh7" not in text and "Wk4" not in text
