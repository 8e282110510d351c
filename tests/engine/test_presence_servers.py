"""Who is in a room, as clients of several servers are told: by heads, by events, and by a room's stats."""

from __future__ import annotations

import json
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import trio
from helpers.engine_server import engine_server
from helpers.http_client import asking, fetch, head_of
from helpers.presence_nodes import until
from helpers.raw_peer import TEXT, Peer, connected, request
from helpers.server_process import running

import trioecho

PATIENCE = 90.0

TOKENS = {"ada": "ada-5d04b68a1c5e", "bo": "bo-9f3c2a7e51d0d3", "cy": "cy-c5e51d04b68a1c"}
JSON = {"Accept": "application/json"}


def bearer(name: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {TOKENS[name]}"}


class Watcher:
    """A client of ``trioecho.v1`` that does what the manual says with what it is told."""

    def __init__(self) -> None:
        self.members: dict[str, str] = {}
        self.numbers = (0, 0)

    @property
    def names(self) -> list[str]:
        return sorted(self.members.values())

    def take(self, message: bytes) -> None:
        presence: dict[str, Any] = json.loads(message).get("presence", {})
        if presence:
            self.numbers = presence["named"], presence["unnamed"]
        if "here" in presence:
            self.members = {each["id"]: each["name"] for each in presence["here"]}
        self.members.update({each["id"]: each["name"] for each in presence.get("came", ())})
        for gone in presence.get("left", ()):
            del self.members[gone]


@asynccontextmanager
async def there(url: str, name: str) -> AsyncIterator[Peer]:
    """A client with a name that is in the room; what it is told nobody has read."""
    async with connected(url) as peer:
        headers = {
            b"Sec-WebSocket-Protocol": b"trioecho.v1",
            b"Authorization": f"Bearer {TOKENS[name]}".encode(),
        }
        await peer.shake_hands(request(b"/room?presence=1", headers=headers))
        yield peer


@asynccontextmanager
async def watching(url: str, name: str) -> AsyncIterator[Watcher]:
    """A client with a name that watches the room, for as long as its server is there."""
    watcher = Watcher()

    async def listen(peer: Peer) -> None:
        while (frame := await peer.read_frame())[0] == TEXT:
            watcher.take(frame[1])

    async with there(url, name) as peer, trio.open_nursery() as nursery:
        nursery.start_soon(listen, peer)
        yield watcher
        nursery.cancel_scope.cancel()


async def members(url: str) -> dict[str, Any]:
    """What the stats of the room say of its members."""
    answer = await fetch(url, "/room", headers={**JSON, **bearer("bo")})
    found: dict[str, Any] = answer.value["members"]
    return found


async def test_heads_events_and_stats_of_two_servers_name_the_same_members(tmp_path: Path) -> None:
    with trio.fail_after(PATIENCE):
        async with engine_server(tmp_path) as engine, trio.open_nursery() as nursery:
            options: Any = {"engine": engine.url, "token": TOKENS, "ping_interval": 0, "shutdown_timeout": 2}
            run = partial(trioecho.serve, port=0, **options)
            one, other = await nursery.start(run), await nursery.start(run)
            async with watching(one.url, "ada") as ada, watching(other.url, "bo") as bo:
                await until(lambda: ada.names == bo.names == ["ada", "bo"])
                assert ada.members == bo.members
                async with asking(other.url) as events:
                    accepts = {"Accept": "text/event-stream", **bearer("cy")}
                    await events.send(head_of("/room?presence=1", headers=accepts))
                    await until(lambda: ada.names == bo.names == ["ada", "bo", "cy"])
                    await events.read_until(b"event: presence\ndata: ")
                    told = json.loads(await events.read_until(b"\n\n"))
                    assert told["named"] == 3
                    for server in (one, other):
                        stats = await members(server.url)
                        assert {each["id"]: each["name"] for each in stats.pop("here")} == ada.members
                        assert stats == {"named": 3, "unnamed": 0}
                await until(lambda: ada.names == bo.names == ["ada", "bo"])
                # A server on which nobody is, and nobody has been, knows as well.
                third = await nursery.start(run)
                assert (await members(third.url))["named"] == 2
                assert (await fetch(third.url, "/x", headers={**JSON, **bearer("bo")})).value["members"][
                    "here"
                ] == []
                # One that shuts down says so: nobody has to wait until it counts as dead.
                began = trio.current_time()
                nursery.start_soon(other.shutdown)
                await until(lambda: ada.names == ["ada"])
                assert trio.current_time() - began < 5
                await third.shutdown()
            await one.shutdown()


async def test_without_an_answer_from_the_engine_stats_tell_what_is_here(tmp_path: Path) -> None:
    with trio.fail_after(PATIENCE):
        async with engine_server(tmp_path) as engine, trio.open_nursery() as nursery:
            server = await nursery.start(partial(trioecho.serve, port=0, engine=engine.url, token=TOKENS))
            async with watching(server.url, "ada") as ada:
                await until(lambda: ada.names == ["ada"])
                engine.signal(signal.SIGSTOP)
                began = trio.current_time()
                for path in ("/room", "/elsewhere"):
                    answer = await fetch(server.url, path, headers={**JSON, **bearer("bo")})
                    assert answer.value["members"]["named"] == (path == "/room")
                assert trio.current_time() - began < 5
                engine.signal(signal.SIGCONT)
            await server.shutdown()


async def test_a_server_that_is_killed_or_hangs_is_gone_in_ten_seconds_and_is_back_if_it_goes_on(
    tmp_path: Path,
) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text("".join(f"{name} {token}\n" for name, token in TOKENS.items()))
    tokens.chmod(0o600)
    with trio.fail_after(PATIENCE):
        async with engine_server(tmp_path) as engine:
            # Clients that only listen answer no pings.
            options = "--engine", engine.url, "--ping-interval", "0"
            serve = partial(running, *options, "--token-file", str(tokens), patience=PATIENCE)
            async with serve() as one, serve() as other, serve() as hanging, serve() as killed:
                async with (
                    watching(one.url, "ada") as ada,
                    watching(other.url, "ada") as also_ada,
                    watching(hanging.url, "bo") as bo,
                    there(killed.url, "cy"),
                    there(killed.url, "cy"),
                ):
                    everybody = ["ada", "ada", "bo", "cy", "cy"]
                    await until(lambda: ada.names == also_ada.names == bo.names == everybody)
                    hanging.signal(signal.SIGSTOP)
                    killed.signal(signal.SIGKILL)
                    began = trio.current_time()
                    await until(lambda: ada.names == also_ada.names == ["ada", "ada"])
                    took = trio.current_time() - began
                    # Not heard for ten seconds, and told within two tenths; the rest is for a busy machine.
                    assert took < 15
                    assert (await members(other.url))["named"] == 2
                    hanging.signal(signal.SIGCONT)
                    await until(lambda: ada.names == also_ada.names == bo.names == ["ada", "ada", "bo"])
                    assert (await members(hanging.url))["named"] == 3
