"""Headers as a command line gives them: fields, tokens, passwords, cookies."""

from __future__ import annotations

from pathlib import Path

import typer

from trioecho.client import basic_credentials

__all__ = ["authorization", "cookie_header", "parse_header"]

MAX_TOKEN = 16 * 1024
"""The longest token that is read from a file (bytes): no server takes a longer header."""


def parse_header(given: str) -> tuple[str, str]:
    """Take ``Name: value`` apart."""
    name, colon, value = given.partition(":")
    if not colon or not name.strip():
        raise typer.BadParameter(f"--header must be 'NAME: VALUE', not {given!r}")
    return name.strip(), value.strip()


def authorization(token: str | None, token_file: Path | None, user: str | None) -> list[tuple[str, str]]:
    """
    Make the Authorization field of whichever was given.

    A file goes before the token, which may come from the environment.
    """
    if token_file is not None:
        try:
            with token_file.open("rb") as file:
                token = file.read(MAX_TOKEN).decode("ascii").strip()
        except OSError as error:
            raise typer.BadParameter(f"--token-file {token_file} cannot be read: {error.strerror}") from None
        except UnicodeDecodeError:
            raise typer.BadParameter(f"--token-file {token_file} holds no token") from None
    if token and user is not None:
        raise typer.BadParameter("a token and --user exclude each other")
    if token:
        return [("Authorization", f"Bearer {token}")]
    if user is not None:
        name, colon, password = user.partition(":")
        if not colon:
            raise typer.BadParameter("--user must be NAME:PASSWORD")
        return [("Authorization", basic_credentials(name, password))]
    return []


def cookie_header(cookies: list[str]) -> list[tuple[str, str]]:
    """Make one Cookie field of all cookies (RFC 6265, section 4.2)."""
    for cookie in cookies:
        if "=" not in cookie or ";" in cookie:
            raise typer.BadParameter(f"--cookie must be NAME=VALUE, not {cookie!r}")
    return [("Cookie", "; ".join(cookies))] if cookies else []
