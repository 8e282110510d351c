"""
Headers as a command line gives them: fields, tokens, passwords, cookies.

All of these may be secrets, so no error here quotes what was given: it names the option or the file.
"""

from __future__ import annotations

import re
from pathlib import Path

import typer

from trioecho.client import ConnectFailed, basic_credentials
from trioecho.client.header import check_header
from trioecho.client.token import Token
from trioecho.options import OptionError
from trioecho.system_errors import reason_of

__all__ = ["TokenFile", "authorization", "bearer", "cookie_header", "parse_header"]

MAX_TOKEN = 16 * 1024
"""The longest token that is read from a file (bytes): no server takes a longer header."""

TOKEN = re.compile(r"[!-~]+")
"""Visible ASCII without blanks, which is all that the Authorization field can carry (RFC 6750)."""


def parse_header(given: str) -> tuple[str, str]:
    """
    Split ``Name: value``.

    Raises:
        typer.BadParameter: it is not that, or no request can have such a header.

    """
    name, colon, value = given.partition(":")
    if not colon or not name.strip():
        raise typer.BadParameter("--header must be 'NAME: VALUE', with a colon between the two")
    header = name.strip(), value.strip()
    try:
        check_header(header)
    except OptionError as error:
        raise typer.BadParameter(f"--header {error.problem}") from None
    return header


def authorization(user: str | None) -> list[tuple[str, str]]:
    """Make the Authorization field of a name and a password, if they are given."""
    if user is None:
        return []
    name, colon, password = user.partition(":")
    if not colon:
        raise typer.BadParameter("--user must be NAME:PASSWORD")
    try:
        return [("Authorization", basic_credentials(name, password))]
    except UnicodeEncodeError:
        raise typer.BadParameter("--user must be text that UTF-8 can encode") from None


def bearer(token: str | None, token_file: Path | None) -> Token | None:
    """
    Return the token that was given, or what reads it from its file.

    A file takes precedence over the token, which may come from the environment.
    """
    if token_file is not None:
        return TokenFile(token_file)
    if token and TOKEN.fullmatch(token) is None:
        raise typer.BadParameter("--token (or TRIOECHO_TOKEN) must be printable ASCII without blanks")
    return token or None


class TokenFile:
    """
    What gives the token that stands in a file now; at first, the one that stood there when this was made.

    What is no regular file (a pipe) can be read once, so it gives that one for ever.

    Raises:
        typer.BadParameter: there is no token in the file.

    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._first = _token_in(path)
        self._asked = False

    def __call__(self) -> str:
        """
        Return the token.

        Raises:
            ConnectFailed: there is none in the file any more.

        """
        if not self._asked or not self._path.is_file():
            self._asked = True
            return self._first
        try:
            return _token_in(self._path)
        except typer.BadParameter as error:
            raise ConnectFailed(error.message) from None


def _token_in(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_TOKEN + 1)
    except OSError as error:
        raise typer.BadParameter(f"--token-file {path} cannot be read: {reason_of(error)}") from None
    except ValueError:  # a NUL in the name
        raise typer.BadParameter("--token-file is not the name of a file") from None
    lines = content.strip().splitlines()
    if len(content) > MAX_TOKEN:
        problem = f"is longer than {MAX_TOKEN} bytes, which no token is"
    elif not lines:
        problem = "is empty; it must hold the token"
    elif len(lines) > 1:
        problem = f"has {len(lines)} lines; it must hold the token and nothing else"
    elif TOKEN.fullmatch(token := lines[0].decode("latin-1")) is None:
        problem = "must hold the token and nothing else: printable ASCII without blanks"
    else:
        return token
    raise typer.BadParameter(f"--token-file {path} {problem}")


def cookie_header(cookies: list[str]) -> list[tuple[str, str]]:
    """Make one Cookie field of all cookies (RFC 6265, section 4.2)."""
    for cookie in cookies:
        if "=" not in cookie or ";" in cookie:
            raise typer.BadParameter("--cookie must be NAME=VALUE, without a semicolon")
    return [("Cookie", "; ".join(cookies))] if cookies else []
