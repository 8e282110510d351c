"""
The kinds of options: which values are valid, in which unit, and how to say that one is not.

Each is a note in the annotation of a field, as :mod:`trioecho.options` describes.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, get_args
from urllib.parse import urlsplit

from trioecho.limits import LONGEST_WAIT
from trioecho.options import Option, OptionError
from trioecho.rates import Rate

__all__ = [
    "TOKEN_CHARACTERS",
    "Choice",
    "File",
    "RateOf",
    "Seconds",
    "Secret",
    "Share",
    "Size",
    "Switch",
    "Text",
    "Texts",
    "TokenPairs",
    "Tokens",
    "Url",
    "Whole",
]

TOKEN_CHARACTERS = frozenset("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
"""The characters of a token, as of a subprotocol or a header's name (RFC 9110, section 5.6.2)."""

MAX_TOKEN = 128
"""A token that a client can be told of is at most so long (characters)."""

BEARER_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]{1,1024}={0,2}")
"""What a bearer token may look like (RFC 6750, section 2.1), no longer than fits a request's head."""


def shown(value: Any) -> str:
    """Quote a wrong value, cut to what fits a sentence."""
    text = repr(value)
    return text if len(text) <= 100 else f"{text[:100]}..."


@dataclass(frozen=True)
class Switch(Option):
    """On or off."""

    def check(self, name: str, value: Any) -> bool:
        """Take True and False."""
        if not isinstance(value, bool):
            raise OptionError(name, f"must be True or False, not {shown(value)}")
        return value


@dataclass(frozen=True)
class Choice(Option):
    """One of a few words; ``of`` is their ``Literal``."""

    of: Any = None
    optional: bool = False

    @property
    def choices(self) -> tuple[str, ...]:
        """The words."""
        return get_args(self.of)

    def check(self, name: str, value: Any) -> str | None:
        """Take one of the words."""
        if value is None and self.optional:
            return None
        for choice in self.choices:
            if value == choice:
                return choice
        raise OptionError(name, f"must be one of {', '.join(self.choices)}, not {shown(value)}")


@dataclass(frozen=True)
class Whole(Option):
    """A whole number."""

    metavar: str = "N"
    low: int = 1
    high: int = 10_000_000

    def check(self, name: str, value: Any) -> int:
        """Take an int within the bounds."""
        if isinstance(value, int) and not isinstance(value, bool) and self.low <= value <= self.high:
            return value
        raise OptionError(name, f"must be a whole number from {self.low} to {self.high}, not {shown(value)}")


@dataclass(frozen=True)
class Size(Whole):
    """A number of bytes."""

    metavar: str = "SIZE"
    unit: ClassVar[str] = "bytes"


@dataclass(frozen=True)
class Seconds(Option):
    """A time; with ``off``, 0 turns off what it is about."""

    metavar: str = "SECONDS"
    low: float = 0.0
    high: float = LONGEST_WAIT
    off: bool = False
    unit: ClassVar[str] = "seconds"

    def check(self, name: str, value: Any) -> float:
        """Take a finite number within the bounds."""
        if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value):
            if self.low <= value <= self.high or (self.off and value == 0):
                return value
        zero = "0 (off) or " if self.off else ""
        raise OptionError(
            name, f"must be {zero}seconds from {self.low:g} to {self.high:g}, not {shown(value)}"
        )


@dataclass(frozen=True)
class RateOf(Option):
    """A rate: so much in a time, and so much at once; of bytes if ``sizes``. Or ``None``."""

    metavar: str = "RATE"
    sizes: bool = False

    def check(self, name: str, value: Any) -> Rate | None:
        """Take a :class:`Rate`, or text that can be parsed as one."""
        if value is None or isinstance(value, Rate):
            return value
        if not isinstance(value, str):
            raise OptionError(name, f"must be a rate as text, not {shown(value)}")
        return Rate.parse(value, option=name, sizes=self.sizes)


@dataclass(frozen=True)
class Share(Option):
    """A part of something, from 0 (nothing) to 1 (all)."""

    metavar: str = "SHARE"

    def check(self, name: str, value: Any) -> float:
        """Take a number from 0 to 1."""
        if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= 1:
            return value
        raise OptionError(name, f"must be a number from 0 to 1, not {shown(value)}")


@dataclass(frozen=True)
class Text(Option):
    """Text of bounded length, or ``None`` if it is ``optional``."""

    metavar: str = "TEXT"
    most: int = 1024
    optional: bool = False

    def check(self, name: str, value: Any) -> str | None:
        """Take what UTF-8 can encode in at most ``most`` bytes."""
        if value is None and self.optional:
            return None
        if not isinstance(value, str):
            raise OptionError(name, f"must be a str, not {type(value).__name__}")
        if len(value.encode(errors="replace")) > self.most:
            raise OptionError(name, f"must be at most {self.most} bytes of UTF-8")
        try:
            value.encode()
        except UnicodeEncodeError:
            raise OptionError(name, "must be text that UTF-8 can encode") from None
        return value


@dataclass(frozen=True)
class Secret(Option):
    """
    A bearer token, or ``None``. Its field is declared with ``field(default=None, repr=False)``.

    On the command line it can be read from a file too: ``--api-key`` and ``--api-key-file``.
    """

    metavar: str = "TOKEN"

    def check(self, name: str, value: Any) -> str | None:
        """Take what fits into an Authorization header; the message never repeats the value."""
        if value is None or (isinstance(value, str) and BEARER_TOKEN.fullmatch(value)):
            return value
        raise OptionError(name, "must be letters, digits and any of -._~+/, then = if need be")


@dataclass(frozen=True)
class File(Option):
    """The path of a file, or ``None``. Whether it can be read shows when it is."""

    metavar: str = "FILE"

    def check(self, name: str, value: Any) -> str | os.PathLike[str] | None:
        """Take any path."""
        if value is None or isinstance(value, (str, os.PathLike)):
            return value
        raise OptionError(name, f"must be a path, not {shown(value)}")


@dataclass(frozen=True)
class TokenPairs(Option):
    """
    Tokens by the names of who has them, kept as pairs. No message repeats any of them.

    On the command line, each is ``NAME=VALUE``.
    """

    metavar: str = "NAME=VALUE"

    def check(self, name: str, value: Any) -> tuple[tuple[str, str], ...]:
        """Take a mapping, or a sequence of pairs; what a name and a token may be shows when they are used."""
        pairs = tuple(value.items()) if isinstance(value, Mapping) else value
        if not isinstance(pairs, (tuple, list)) or not all(
            isinstance(pair, tuple) and len(pair) == 2 for pair in pairs
        ):
            raise OptionError(name, "must be a dict of names and tokens, or a list of pairs of them")
        return tuple(pairs)


@dataclass(frozen=True)
class Texts(Option):
    """Several strings; kept as a tuple, whatever sequence they come in."""

    metavar: str = "NAME"

    def check(self, name: str, value: Any) -> tuple[str, ...]:
        """Take a sequence of strings, but not a single one, which would be a sequence of letters."""
        if not isinstance(value, (tuple, list)) or not all(isinstance(item, str) for item in value):
            raise OptionError(name, f"must be a tuple of strings, not {shown(value)}")
        return tuple(value)


@dataclass(frozen=True)
class Tokens(Texts):
    """Several different tokens (RFC 9110, section 5.6.2), as subprotocols are (RFC 6455, section 4.1)."""

    def check(self, name: str, value: Any) -> tuple[str, ...]:
        """Take a sequence of tokens."""
        for token in super().check(name, value):
            if not token or len(token) > MAX_TOKEN or not set(token) <= TOKEN_CHARACTERS:
                raise OptionError(
                    name,
                    f"must be at most {MAX_TOKEN} letters, digits and any of !#$%&'*+-.^_`|~,"
                    f" not {shown(token)}",
                )
        if len(set(value)) < len(value):
            raise OptionError(name, f"names {shown(max(value, key=value.count))} twice")
        return tuple(value)


@dataclass(frozen=True)
class Url(Option):
    """A URL with one of ``schemes``, a host and perhaps a path; kept with a slash at its end. Or ``None``."""

    metavar: str = "URL"
    schemes: tuple[str, ...] = ("http", "https", "ws", "wss")

    def check(self, name: str, value: Any) -> str | None:
        """Take such a URL."""
        if value is None:
            return None
        problem = self._problem(value)
        if problem:
            raise OptionError(name, f"{problem}, for example https://chat.example.com/, not {shown(value)}")
        return str(value) if value.endswith("/") else f"{value}/"

    def _problem(self, value: Any) -> str:
        if not isinstance(value, str) or not value.isascii() or not value.isprintable() or " " in value:
            return "must be a URL in ASCII"
        try:
            parts = urlsplit(value)
            host, _ = parts.hostname, parts.port  # a port that is none raises
        except ValueError:
            return "must be a URL with a host and perhaps a port"
        if parts.scheme not in self.schemes or not host:
            return f"must be a URL that begins with {', '.join(f'{scheme}://' for scheme in self.schemes)}"
        if "@" in parts.netloc:
            return "must be a URL without a user name"
        if "?" in value or "#" in value:
            return "must be a URL without a query or fragment"
        return ""
