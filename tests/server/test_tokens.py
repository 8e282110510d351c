"""Each option of tokens, asked of a running server by every way in: WebSocket, events, POST and stats."""

from __future__ import annotations

import hashlib
import json
import signal
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from helpers.http_client import asking, fetch, head_of
from helpers.raw_peer import connected, request
from helpers.server import serving
from helpers.server_process import running
from helpers.signing import KINDS, jwk, private_key, public, sign

ADA, BO = "b68a1c59f3c2a7e51d04", "0e35b6d28c1d0be2f7a9"

NOBODY = dict.fromkeys(("websocket", "events", "stats", "POST"), 401)
EVERYTHING = {"websocket": 101, "events": 200, "stats": 200, "POST": 202}
LISTENING = {**EVERYTHING, "POST": 403}

PLACES: dict[str, Callable[[str], tuple[dict[str, str], str]]] = {
    "header": lambda token: ({"Authorization": f"Bearer {token}"}, ""),
    "subprotocol": lambda token: ({"Sec-WebSocket-Protocol": f"bearer.{token}"}, ""),
    "cookie": lambda token: ({"Cookie": f"theme=dark; session={token}"}, ""),
    "query": lambda token: ({}, f"?token={token}"),
}
"""Where a token may stand: what the headers and the address then hold."""


async def statuses(url: str, token: str, *, room: str = "/", place: str = "header") -> dict[str, int]:
    """Ask for a room by every way in; return what each is answered."""
    headers, query = PLACES[place](token)
    target = room + query
    found = {}
    async with connected(url) as peer:
        raw = {name.encode(): value.encode() for name, value in headers.items()}
        await peer.send(request(target.encode(), headers=raw))
        found["websocket"] = int((await peer.read_until(b"\r\n")).split()[1])
    async with asking(url) as peer:
        await peer.send(head_of(target, headers={**headers, "Accept": "text/event-stream"}))
        found["events"] = (await peer.read_head()).status
    stats = await fetch(url, target, headers={**headers, "Accept": "application/json"})
    posted: Mapping[str, str] = {**headers, "Content-Type": "text/plain"}
    answer = await fetch(url, target, method="POST", body=b"hello", headers=posted)
    return {**found, "stats": stats.status, "POST": answer.status}


@pytest.mark.parametrize("place", PLACES)
async def test_a_token_counts_in_each_place_by_every_way_in(place: str) -> None:
    more: dict[str, Any] = {"token_cookie": "session", "allow_query_token": True}
    async with serving(token={"ada": ADA}, **more) as server:
        assert await statuses(server.url, ADA, place=place) == EVERYTHING
        assert await statuses(server.url, BO, place=place) == NOBODY
    if place in ("cookie", "query"):
        async with serving(token={"ada": ADA}) as server:
            assert await statuses(server.url, ADA, place=place) == NOBODY


async def test_a_token_file_says_who_may_do_what_where(tmp_path: Path) -> None:
    hashed = hashlib.sha256(BO.encode()).hexdigest()
    path = tmp_path / "tokens"
    path.write_text(f"ada {ADA} rooms=/news,/team/** rights=subscribe\nbo sha256:{hashed} rights=publish\n")
    async with serving(token_file=path) as server:
        assert await statuses(server.url, ADA, room="/news") == LISTENING
        assert await statuses(server.url, ADA, room="/team/a/b") == LISTENING
        assert set((await statuses(server.url, ADA, room="/other")).values()) == {403}
        assert (await statuses(server.url, BO, room="/other"))["POST"] == 202
        assert (await statuses(server.url, BO, room="/other"))["events"] == 403
        assert await statuses(server.url, hashed) == NOBODY, "the hash is no token"


async def test_a_token_file_is_read_again_on_sighup_and_a_wrong_one_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "tokens"
    path.write_text(f"ada {ADA}\n")
    async with running("--token-file", str(path)) as server:
        assert await statuses(server.url, ADA) == EVERYTHING
        assert await statuses(server.url, BO) == NOBODY
        path.write_text(f"bo {BO}\n")
        assert await statuses(server.url, BO) == NOBODY, "nobody has said that it should be read"
        server.signal(signal.SIGHUP)
        await server.event("reloaded")
        assert await statuses(server.url, BO) == EVERYTHING
        assert await statuses(server.url, ADA) == NOBODY
        path.write_text(f"ada {ADA}\nbo\n")
        server.signal(signal.SIGHUP)
        assert "--token-file" in (await server.event("not-reloaded"))["why"]
        assert await statuses(server.url, BO) == EVERYTHING
        assert await statuses(server.url, ADA) == NOBODY


@pytest.mark.parametrize("algorithm", KINDS)
async def test_a_jwt_counts_by_every_way_in(algorithm: str, tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_bytes(public(private_key(algorithm)))
    async with serving(jwt_key_file=key) as server:
        assert await statuses(server.url, sign(algorithm, {"sub": "ada"})) == EVERYTHING
        assert await statuses(server.url, sign(algorithm, {"sub": "ada"}, "another")) == NOBODY
        assert await statuses(server.url, sign(algorithm, {"exp": time.time() - 10})) == NOBODY
        claims: dict[str, Any] = {"rooms": ["/news/*"], "publish": False, "subscribe": True}
        token = sign(algorithm, claims)
        assert await statuses(server.url, token, room="/news/today") == LISTENING
        assert set((await statuses(server.url, token, room="/other")).values()) == {403}
        assert (await server.event("connected"))["name"] == "ada"


async def test_a_jwt_must_be_for_this_server_and_from_this_issuer_now(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_bytes(public(private_key("HS256")))
    right = {"aud": "chat", "iss": "https://login.example.com", "exp": int(time.time()) - 5}
    options: dict[str, Any] = {"jwt_audience": "chat", "jwt_issuer": right["iss"], "jwt_leeway": 60}
    async with serving(jwt_key_file=key, **options) as server:
        # With the leeway it is still good for a while.
        assert await statuses(server.url, sign("HS256", right)) == EVERYTHING
        for wrong in ({"aud": "other"}, {"iss": "https://evil.example"}, {"exp": int(time.time()) - 120}):
            assert await statuses(server.url, sign("HS256", {**right, **wrong})) == NOBODY


async def test_a_set_of_keys_is_read_again_when_it_has_changed(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    old, new = (jwk("ES256", name, kid=name) for name in ("old", "new"))
    path.write_text(json.dumps({"keys": [old]}))
    by_old, by_new = (sign("ES256", {"sub": name}, name, kid=name) for name in ("old", "new"))
    async with serving(jwt_jwks_file=path) as server:
        assert await statuses(server.url, by_old) == EVERYTHING
        assert await statuses(server.url, by_new) == NOBODY
        path.write_text(json.dumps({"keys": [new, {**new, "kid": "spare"}]}))
        while await statuses(server.url, by_new) != EVERYTHING:
            pass  # the file is looked at once a second
        assert await statuses(server.url, by_old) == NOBODY
        path.write_text("{")
        assert await statuses(server.url, by_new) == EVERYTHING, "a wrong file keeps the old one"


async def test_when_a_jwt_expires_its_client_is_closed_with_4401_and_its_stream_ends(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_bytes(public(private_key("HS256")))
    async with serving(jwt_key_file=key) as server:
        token = sign("HS256", {"exp": time.time() + 2})
        headers = {"Authorization": f"Bearer {token}"}
        async with asking(server.url) as listener, connected(server.url) as peer:
            await listener.send(head_of("/", headers={**headers, "Accept": "text/event-stream"}))
            await peer.shake_hands(request(headers={b"Authorization": headers["Authorization"].encode()}))
            assert await peer.read_close() == 4401
            assert (await listener.read_to_end()).startswith(b"HTTP/1.1 200 ")
        assert await statuses(server.url, token) == NOBODY
