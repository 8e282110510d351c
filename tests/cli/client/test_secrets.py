"""Tokens, passwords and cookies reach the server and nothing else: no error, no notice, no `repr()`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import typer
from helpers.other_servers import run_here, websockets_server
from websockets.sync.server import ServerConnection

from trioecho.bench.target import Target
from trioecho.cli.client.connect_options import Connecting
from trioecho.client import ClientOptions, open_client, parse_address
from trioecho.options import OptionError

SECRET = "s3cr3t"


@pytest.fixture(scope="module")
def headers_url() -> Iterator[str]:
    def tell(connection: ServerConnection) -> None:
        assert connection.request is not None
        connection.send(str(connection.request.headers.get("Authorization")))

    with websockets_server(tell) as url:
        yield url


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (f"{SECRET}\n{SECRET}2\n", "has 2 lines; it must hold the token and nothing else"),
        ("", "is empty; it must hold the token"),
        ("\n \n", "is empty; it must hold the token"),
        (f"Bearer {SECRET}\n", "must hold the token and nothing else: printable ASCII without blanks"),
        (f"{SECRET}ü", "must hold the token and nothing else: printable ASCII without blanks"),
        (f"{SECRET}\0", "must hold the token and nothing else: printable ASCII without blanks"),
        (SECRET * 3000, "is longer than 16384 bytes, which no token is"),
    ],
)
def test_a_token_file_that_is_wrong_is_named_and_not_shown(
    tmp_path: Path, content: str, problem: str
) -> None:
    path = tmp_path / "token"
    path.write_text(content)
    code, out, err = run_here("client", "ws://127.0.0.1:1/", f"--token-file={path}")
    assert (code, out, err) == (2, b"", f"trioecho: --token-file {path} {problem}\n")


def test_white_space_around_the_token_is_not_part_of_it(headers_url: str, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(f"\n  {SECRET}\r\n")
    assert run_here("listen", headers_url, f"--token-file={tmp_path}/token")[1] == b"Bearer s3cr3t\n"


@pytest.mark.parametrize(
    "arguments",
    [
        [f"--token={SECRET} x"],
        [f"--token={SECRET}ü"],
        [f"--header={SECRET}"],
        [f"--header=X-Key: {SECRET}ü"],
        [f"--header=X Key {SECRET}: y"],
        [f"--user={SECRET}"],
        [f"--user=me:{SECRET}\udcff"],
        [f"--cookie={SECRET}"],
        [f"--cookie=a={SECRET}; b"],
        [f"--proxy=http://me:{SECRET}@host:port/"],
        [f"--proxy=ftp://me:{SECRET}@host/"],
        [f"--greet={SECRET}\udcff"],
        [f"ws://me:{SECRET}@host:port/"],
        [f"ws://me:x/{SECRET}@host/"],
        [f"me:{SECRET}@host/#fragment"],
        [f"ws://[me:{SECRET}@host/"],
        [f"ws://host/ ?access_token={SECRET}"],
        [f"ws://host/#?a=b&api_key={SECRET}"],
    ],
)
def test_what_is_wrong_with_a_secret_is_said_without_it(arguments: list[str]) -> None:
    if arguments[0].startswith("--"):
        arguments = ["ws://127.0.0.1:1/", *arguments]
    code, out, err = run_here("listen", *arguments)
    assert (code, out, err.count("\n")) == (2, b"", 1)
    assert err.startswith("trioecho: ")
    assert "s3cr" not in err


def test_the_notices_show_no_secret_of_the_url(headers_url: str) -> None:
    url = headers_url.replace("://", f"://me:{SECRET}@")
    code, out, err = run_here("listen", f"{url}?a=b&token={SECRET}")
    assert (code, out) == (0, b"Basic bWU6czNjcjN0\n")
    assert err == f"connected to {headers_url}?a=b&token=...\n"


def test_no_repr_shows_a_secret() -> None:
    connecting = Connecting(
        header=[f"X-Key: {SECRET}"],
        token=SECRET,
        user=f"me:{SECRET}",
        cookie=[f"a={SECRET}"],
        proxy=f"http://me:{SECRET}@host:80",
        greet=SECRET,
    )
    options = ClientOptions(**replace(connecting, user=None).options())
    url = f"ws://me:{SECRET}@host/room?token={SECRET}"
    for shown in (connecting, options, parse_address(url), Target.parse(url)):
        assert SECRET not in repr(shown) and SECRET not in str(shown)


@pytest.mark.parametrize(
    "headers", [[f"Authorization: Bearer {SECRET}"], [("X-Key", f"{SECRET}\n")], [(SECRET, "ü")], [(SECRET,)]]
)
async def test_headers_that_are_wrong_are_not_shown(headers: list[tuple[str, str]]) -> None:
    with pytest.raises(OptionError) as caught:
        async with open_client("ws://localhost/", headers=headers):
            pass
    shown = str(caught.value).replace(f"the value of {SECRET}", "")  # a name is none
    assert SECRET not in shown


def test_two_ways_of_giving_a_secret_exclude_each_other() -> None:
    with pytest.raises(typer.BadParameter, match="exclude each other"):
        Connecting(token=SECRET, user="a:b").options()
