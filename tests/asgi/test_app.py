"""The hub as an ASGI application, under Hypercorn on trio: the same rooms, over WebSocket and as events."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Unpack

import pytest
import trio
from helpers.http_client import asking, fetch, head_of

from trioecho import ConnectionClosed, Hub, HubOptions, Identity, Rejected, open_client, open_hub
from trioecho.asgi import HubApp


@asynccontextmanager
async def hosted(authorize: Any = None, **options: Unpack[HubOptions]) -> AsyncIterator[tuple[Hub, str]]:
    """A hub under Hypercorn, and where that listens."""
    from hypercorn.config import Config
    from hypercorn.trio import serve

    config = Config()
    config.bind = ["127.0.0.1:0"]
    config.errorlog = None
    with trio.fail_after(20):
        async with open_hub(**options) as hub, trio.open_nursery() as nursery:
            app: Any = HubApp(hub, authorize=authorize)
            (url,) = await nursery.start(partial(serve, app, config))
            yield hub, url.replace("http", "ws", 1).rstrip("/") + "/"
            nursery.cancel_scope.cancel()


async def test_clients_talk_in_a_room_and_with_the_hub() -> None:
    async with hosted() as (hub, url), open_client(f"{url}a") as one, open_client(f"{url}a") as other:
        await one.send("hello")
        assert await other.receive() == "hello"
        await other.send(b"\x00")
        assert await one.receive() == b"\x00"
        assert await hub.publish("/a", "to all") == 2
        assert [await one.receive(), await other.receive()] == 2 * ["to all"]
        (member, _) = hub.members("/a")
        assert member.address.startswith("127.0.0.1:")
        await member.send("to one")
        assert await one.receive() == "to one"
        assert await hub.publish("/a", "not to one", exclude=member) == 1
        assert await other.receive() == "not to one"


async def test_who_leaves_is_gone_from_its_room() -> None:
    async with hosted() as (hub, url):
        async with open_client(url):
            pass
        while hub.rooms:  # noqa: ASYNC110 - the server has its own time
            await trio.sleep(0.01)


async def test_events() -> None:
    async with hosted(history=10) as (hub, url), asking(url) as peer:
        await peer.send(head_of("/a", headers={"Accept": "text/event-stream"}))
        await peer.read_until(b": listening\n\n")
        await hub.publish("/a", "one\ntwo")
        assert b"data: one\ndata: two\n\n" in await peer.read_until(b"two\n\n")
        assert (await fetch(url, "/a")).status == 406


async def test_the_application_says_who_comes_in() -> None:
    async def authorize(scope: Any) -> Identity | None:
        name = scope["query_string"].decode()
        return Identity(name, publish=name != "mute") if name else None

    async with hosted(authorize) as (hub, url):
        with pytest.raises(Rejected, match="403"):
            async with open_client(url):
                pass
        async with open_client(f"{url}?ann") as ann, open_client(f"{url}?mute") as mute:
            await mute.send("nobody hears it")
            await ann.send("hello")
            assert await mute.receive() == "hello"
            assert [member.identity.name for member in hub.members("/")] == ["ann", "mute"]


async def test_a_page_of_another_site_does_not_come_in() -> None:
    async with hosted() as (_, url):
        with pytest.raises(Rejected, match="403"):
            async with open_client(url, headers=[("Origin", "https://elsewhere.example")]):
                pass


async def test_too_large_a_message_ends_its_client() -> None:
    async with hosted(max_message_size=10) as (_, url), open_client(url) as client:
        await client.send(11 * "x")
        with pytest.raises(ConnectionClosed) as ended:
            await client.receive()
        assert ended.value.code == 1009
