"""What people write on a command line, made into values: numbers, and sizes with their units."""

from __future__ import annotations

import re
from pathlib import Path

import typer

from trioecho.cli.errors import Failure
from trioecho.limits import OptionError

__all__ = ["number", "size", "size_text", "token", "whole"]

UNITS = {"": 1, "B": 1, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}


def whole(text: str | int) -> int:
    """Parse a whole number."""
    try:
        return int(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a whole number") from None


def number(text: str | float) -> float:
    """Parse a number."""
    try:
        return float(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a number (give it without a unit, as in 2.5)") from None


def size(text: str | int) -> int:
    """Parse ``4MiB``, ``512KiB``, ``1GiB`` or a number of bytes."""
    found = re.fullmatch(r"\s*([0-9]{1,15})\s*([a-zA-Z]*)\s*", str(text))
    if found is None or found[2].upper() not in UNITS:
        raise typer.BadParameter(
            f"{str(text)!r} is not a size: give a whole number, with KiB, MiB or GiB if you like (4MiB)"
        )
    return int(found[1]) * UNITS[found[2].upper()]


def size_text(size: int) -> str:
    """Write a size as :func:`size` reads it, in the largest unit that leaves a whole number."""
    for unit, factor in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if size >= factor and size % factor == 0:
            return f"{size // factor}{unit}"
    return str(size)


def token(given: str | None, file: Path | None) -> str | None:
    """
    Return a token that is given itself or in a file, where white space around it is not part of it.

    Raises:
        Failure: the file cannot be read.
        OptionError: it is given in both ways, or the file holds no text.

    """
    if file is None:
        return given or None
    if given:
        raise OptionError("publish_token_file", "is one way to give the token, and --publish-token another")
    try:
        return file.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise Failure(
            f"cannot read the token from {file}: {(error.strerror or str(error)).lower()}"
        ) from error
    except UnicodeDecodeError:
        raise OptionError("publish_token_file", "must name a file of text") from None
