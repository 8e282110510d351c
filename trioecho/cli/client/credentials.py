"""
Headers as a command line gives them: fields, tokens, passwords, cookies.

All of these may be secrets, so no error here quotes what was given: it names the option or the file.
"""

from __future__ import annotations

import re
from pathlib import Path

import typer

from trioecho.client import basic_credentials

__all__ = ["authorization", "cookie_header", "parse_header"]

MAX_TOKEN = 16 * 1024
"""The longest token that is read from a file (bytes): no server takes a longer header."""

TOKEN = re.compile(r"[!-~]+")
"""Visible ASCII without blanks, which is all that the Authorization field can carry (RFC 6750)."""


def parse_header(given: str) -> tuple[str, str]:
    """Split ``Name: value``."""
    name, colon, value = given.partition(":")
    if not colon or not name.strip():
        raise typer.BadParameter("--header must be 'NAME: VALUE', with a colon between the two")
    return name.strip(), value.strip()


def authorization(token: str | None, token_file: Path | None, user: str | None) -> list[tuple[str, str]]:
    """
    Make the Authorization field from whichever was given.

    A file takes precedence over the token, which may come from the environment.
    """
    if token_file is not None:
        token = _token_in(token_file)
    elif token and TOKEN.fullmatch(token) is None:
        raise typer.BadParameter("--token (or TRIOECHO_TOKEN) must be printable ASCII without blanks")
    if token and user is not None:
        raise typer.BadParameter("a token and --user exclude each other")
    if token:
        return [("Authorization", f"Bearer {token}")]
    if user is not None:
        name, colon, password = user.partition(":")
        if not colon:
            raise typer.BadParameter("--user must be NAME:PASSWORD")
        try:
            return [("Authorization", basic_credentials(name, password))]
        except UnicodeEncodeError:
            raise typer.BadParameter("--user must be text that UTF-8 can encode") from None
    return []


def _token_in(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_TOKEN + 1)
    except OSError as error:
        raise typer.BadParameter(f"--token-file {path} cannot be read: {error.strerror}") from None
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
