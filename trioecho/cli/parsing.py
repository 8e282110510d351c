"""What people write on a command line, as values: numbers, sizes with units, secrets in files."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

import typer

from trioecho.cli.errors import Failure
from trioecho.cli.logs import warn_later
from trioecho.options import OptionError
from trioecho.system_errors import reason_of

__all__ = ["number", "secret", "size", "size_text", "whole"]

UNITS = {"": 1, "B": 1, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}

MAX_SECRET_FILE = 16 * 1024
"""A file with a longer secret is not what was meant (bytes)."""


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


def secret(option: str, given: str | None, file: Path | None) -> str | None:
    """
    Return a secret that is given itself or as the one line of a file, without the white space around it.

    The log will warn of a file that everybody on the machine can read.

    Raises:
        Failure: the file cannot be read.
        OptionError: it is given in both ways, or the file does not hold one line of text. The message names
            the file and never shows what is in it.

    """
    if file is None:
        return given or None
    flag = option.replace("_", "-")
    name = f"{option}_file"
    if given:
        raise OptionError(name, f"and --{flag} are two ways to give one thing: use one of them")
    try:
        with file.open("rb") as opened:
            content = opened.read(MAX_SECRET_FILE + 1)
            mode = os.fstat(opened.fileno()).st_mode
        text = content.decode("utf-8-sig").strip()
    except OSError as error:
        raise Failure(f"--{flag}-file {file} cannot be read: {reason_of(error)}") from error
    except UnicodeDecodeError:
        raise OptionError(name, f"must name a file of text, which {file} is not") from None
    if len(content) > MAX_SECRET_FILE or len(text.splitlines()) != 1:
        why = "is empty" if not text else "has more than one line"
        why = "is too long" if len(content) > MAX_SECRET_FILE else why
        raise OptionError(name, f"must name a file of one line, but {file} {why}")
    if mode & stat.S_IROTH and stat.S_ISREG(mode):
        warn_later(f"{file} can be read by everybody on this machine: chmod o-r {file}")
    return text
