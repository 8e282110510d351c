"""The token a client presents: in which place, which one at each attempt, and shown by nothing."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio
from helpers.server import serving
from helpers.server_process import environment, running
from helpers.signing import SECRET, sign

from trioecho.cli.client.connect_options import Connecting
from trioecho.client import (
    Change,
    Client,
    ClientOptions,
    Connected,
    ConnectFailed,
    ConnectionClosed,
    Reconnect,
    Reconnecting,
    Rejected,
    open_client,
)
from trioecho.client.token import TokenAs
from trioecho.options import OptionError

ADA = "b68a1c59f3c2a7e51d04"

POLICY = Reconnect(first_delay=0.2, longest_delay=0.2, attempts=4)


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    """The secret that tokens are signed with, as a server reads it."""
    path = tmp_path / "key"
    path.write_bytes(SECRET)
    return path


def short_lived(seconds: float = 1.9) -> str:
    """Sign a token for up to a second less: times in a token are whole seconds."""
    return sign("HS256", {"sub": "ada", "exp": time.time() + seconds})


async def still_there(client: Client) -> None:
    """Have the server answer something."""
    assert await client.ping() >= 0


@pytest.mark.parametrize("token_as", ["header", "subprotocol"])
@pytest.mark.parametrize("source", [ADA, lambda: ADA])
async def test_it_is_sent_in_either_place_and_lets_the_client_in(
    token_as: TokenAs, source: str | Callable[[], str]
) -> None:
    async with serving(token={"ada": ADA}, subprotocols=("chat",)) as server:
        with pytest.raises(Rejected) as caught:
            async with open_client(server.url):
                pass
        assert caught.value.status == 401
        async with open_client(server.url, token=source, token_as=token_as, subprotocols=["chat"]) as client:
            await still_there(client)
            assert client.subprotocol == "chat"
            assert ADA not in repr(client.response_headers)
        async with open_client(server.url, token=source, token_as=token_as) as client:
            await still_there(client)
            assert client.subprotocol is None
        assert len(server.find("connected", name="ada")) == 2
        assert ADA not in repr(server.entries)


async def until_back(
    server_url: str, token: str | Callable[[], str], times: int
) -> tuple[list[Change], ConnectionClosed | None]:
    """Stay until the client has come back so many times, or gives up; return its changes and the end."""
    changes: list[Change] = []
    try:
        async with open_client(server_url, token=token, reconnect=POLICY, on_change=changes.append) as client:
            while sum(isinstance(change, Connected) for change in changes) <= times:
                await trio.sleep(0.01)
                if client.close_info is not None:
                    await client.receive()
    except ConnectionClosed as end:
        return changes, end
    return changes, None


async def test_a_client_with_a_fresh_token_is_back_at_once_when_its_old_one_expires(keys: Path) -> None:
    async with serving(jwt_key_file=keys) as server:
        changes, end = await until_back(server.url, short_lived, 1)
        assert end is None
        connected, away, back = changes
        assert isinstance(connected, Connected) and isinstance(back, Connected)
        assert isinstance(away, Reconnecting) and away.delay == 0
        assert isinstance(away.error, ConnectionClosed) and away.error.code == 4401


async def test_one_that_expires_soon_again_and_again_makes_no_tight_loop(keys: Path) -> None:
    async with serving(jwt_key_file=keys) as server:
        changes, end = await until_back(server.url, short_lived, 2)
        assert end is None
        delays = [change.delay for change in changes if isinstance(change, Reconnecting)]
        assert delays[0] == 0 and delays[1] > 0


async def test_one_that_gets_no_fresh_token_waits_between_its_attempts_and_gives_up(keys: Path) -> None:
    stale = short_lived()
    async with serving(jwt_key_file=keys) as server:
        changes, end = await until_back(server.url, lambda: stale, 1)
        assert end is not None and "401" in str(end) and stale not in str(end)
        away = [change for change in changes if isinstance(change, Reconnecting)]
        assert len(away) == 3, "the fourth attempt was the last"
        assert away[0].delay == 0 and all(change.delay > 0 for change in away[1:])
        assert all(isinstance(change.error, Rejected) for change in away[1:])


async def test_one_whose_token_stays_the_same_does_not_come_back_with_it(keys: Path) -> None:
    async with serving(jwt_key_file=keys) as server:
        changes, end = await until_back(server.url, short_lived(), 1)
        assert end is not None and end.code == 4401
        assert len(changes) == 1


async def test_a_token_that_was_never_right_fails_at_once() -> None:
    async with serving(token={"ada": ADA}) as server:
        with pytest.raises(Rejected):
            async with open_client(server.url, token=lambda: "wrong", reconnect=POLICY):
                pass
        assert len(server.find("refused", status=401)) == 1


@pytest.mark.parametrize("found", ["two words", "", "ü", 7, None])
async def test_a_function_that_returns_no_token_is_a_failed_attempt(found: Any) -> None:
    async with serving(token={"ada": ADA}) as server:
        with pytest.raises(ConnectFailed, match=r"^there is no token to present: it must be ") as caught:
            async with open_client(server.url, token=lambda: found):
                pass
        assert not found or str(found) not in str(caught.value)


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        ({"token": "s3cr3t s3cr3t"}, "token must be printable ASCII without blanks"),
        ({"token": ""}, "token must be printable ASCII without blanks"),
        ({"token": b"s3cr3t"}, "token must be a str, or a function that returns one"),
        ({"token": "s3cr3t/=", "token_as": "subprotocol"}, "token can't go as a subprotocol: "),
        ({"token": "s3cr3t", "token_as": "cookie"}, "token_as must be header or subprotocol, not 'cookie'"),
        (
            {"token": "s3cr3t", "headers": [("authorization", "Basic x")]},
            "token and an Authorization header ",
        ),
    ],
)
def test_what_cannot_be_is_said_without_the_token(wrong: dict[str, Any], problem: str) -> None:
    with pytest.raises(OptionError) as caught:
        ClientOptions(**wrong)
    assert str(caught.value).startswith(problem) and "s3cr" not in str(caught.value)


async def test_a_token_file_is_read_again_for_each_connection(keys: Path, tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text(short_lived())
    connecting = Connecting(token_file=path, reconnect=True, reconnect_delay=0.2)
    changes: list[Change] = []
    async with serving(jwt_key_file=keys) as server:
        options = connecting.options()
        options["on_change"] = changes.append
        async with open_client(server.url, **options) as client:
            fresh = short_lived(100)
            path.write_text(fresh)
            while len(changes) < 3:  # noqa: ASYNC110 - changes come by a callback
                await trio.sleep(0.01)
            await still_there(client)
    assert isinstance(changes[2], Connected)
    assert fresh not in repr(connecting) + repr(ClientOptions(**connecting.options()))


async def test_a_token_file_that_is_gone_is_a_failed_attempt_and_named(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("first\n")
    source = Connecting(token_file=path).options()["token"]
    assert callable(source) and source() == "first"
    path.unlink()
    path.mkdir()
    assert source() == "first", "what is no regular file is not read twice"
    path.rmdir()
    path.write_text("")
    with pytest.raises(ConnectFailed, match=r"token is empty; it must hold the token"):
        source()
    path.write_text("second\n")
    assert source() == "second"


async def trioecho(*arguments: str, **variables: str) -> tuple[int, str, str]:
    """Run a command; return its exit code, output and errors."""
    done = await trio.run_process(
        [sys.executable, "-m", "trioecho", *arguments],
        env=environment(**variables),
        capture_stdout=True,
        capture_stderr=True,
        check=False,
    )
    return done.returncode, done.stdout.decode(), done.stderr.decode()


async def test_the_servers_and_the_clients_variables_can_be_set_together(tmp_path: Path) -> None:
    """And both kinds of client, in both places."""
    variables = {"TRIOECHO_TOKENS": f"ada={ADA} bo=0123456789", "TRIOECHO_TOKEN": ADA}
    (tmp_path / "token").write_text("0123456789\n")
    async with running(variables=variables, patience=90) as server:
        assert (await trioecho("send", server.url, "hello"))[0] == 1
        assert (await trioecho("send", server.url, "hello", **variables))[0] == 0
        file = f"--token-file={tmp_path}/token"
        assert (await trioecho("send", server.url, "hello", file, "--token-as=subprotocol"))[0] == 0
        await server.event("connected", name="ada")
        await server.event("connected", name="bo")
        bench = ("bench", server.url, "--mode=connect", "--subscribers=2", "--json")
        for more in ([], [file, "--token-as=subprotocol"]):
            code, out, errors = await trioecho(*bench, *more, **variables)
            assert (code, errors) == (0, "") and ADA not in out
        assert not [line for line in server.lines if ADA in line]
