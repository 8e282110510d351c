"""What the question "who is this, and what may they do?" is answered with: an identity, or a refusal."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, field

from trioecho.access.patterns import PatternError, Patterns
from trioecho.options import OptionError

__all__ = ["ANYONE", "Identity", "Refusal"]

MAX_NAME_BYTES = 255
"""A name is kept as long as its client is there, and stands in log lines (bytes of UTF-8; as a room's)."""

EVERY_ROOM = ("/**",)


@dataclass(frozen=True, slots=True)
class Identity:
    """
    Who a client is, and what it may do.

    A right is ``True`` (in all the rooms of ``rooms``), ``False`` (nowhere), or patterns of rooms: then a
    room must match one of them and one of ``rooms``. A pattern is a path in which ``*`` stands for any
    characters of a segment and ``**``, as a segment, for one or more segments.

    Attributes:
        name: for logs, presence and hooks; one line of at most 255 bytes. ``None``: nobody in particular.
        publish: where it may publish. Default: in all its rooms.
        subscribe: where it may receive. Default: in all its rooms.
        rooms: the rooms it may have to do with at all. Default: every room.
        expires_at: when its rights end (Unix time in seconds). ``None``, the default: never.

    Raises:
        OptionError: a name, a pattern or a time can't be right. The sentence holds none of their values.

    """

    name: str | None = None
    _: KW_ONLY
    publish: bool | Sequence[str] = True
    subscribe: bool | Sequence[str] = True
    rooms: Sequence[str] = EVERY_ROOM
    expires_at: float | None = None
    _publish: Patterns = field(init=False, repr=False, compare=False)
    _subscribe: Patterns = field(init=False, repr=False, compare=False)
    _rooms: Patterns = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Check every value, and compile the patterns once."""
        _check_name(self.name)
        if isinstance(self.rooms, bool):
            raise OptionError("rooms", "must be patterns of rooms, as in /news/*")
        for option in ("publish", "subscribe", "rooms"):
            compiled = _patterns(option, getattr(self, option))
            object.__setattr__(self, f"_{option}", compiled)
            if not isinstance(getattr(self, option), bool):
                object.__setattr__(self, option, compiled.texts)
        if self.expires_at is not None and not _is_time(self.expires_at):
            raise OptionError("expires_at", "must be a Unix time in seconds")

    def may_publish(self, room: str) -> bool:
        """Whether it may publish in a room (its name: a path, percent-decoded)."""
        return self._publish.match(room) and self._rooms.match(room)

    def may_subscribe(self, room: str) -> bool:
        """Whether it may receive what is published in a room (its name: a path, percent-decoded)."""
        return self._subscribe.match(room) and self._rooms.match(room)


@dataclass(frozen=True, slots=True)
class Refusal:
    """
    An HTTP response that lets nobody in.

    Attributes:
        status: an HTTP status from 400 to 599.
        text: one line that says what is wrong and what to do about it; it is sent, and logged.
        headers: further headers of the response, as names and values.

    Raises:
        OptionError: the status is none of an error, or the text or a header is not one printable line.

    """

    status: int
    text: str
    headers: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        """Check every value: what an application returns is sent to strangers."""
        if not isinstance(self.status, int) or not 400 <= self.status <= 599:
            raise OptionError("status", f"must be an HTTP status from 400 to 599, not {self.status!r}")
        if not isinstance(self.text, str) or not self.text or not self.text.isprintable():
            raise OptionError("text", "must be one line of printable text")
        for name, value in self.headers:
            if not name or not (name + value).isascii() or not (name + value).isprintable():
                raise OptionError("headers", "must be pairs of printable ASCII text")


def _check_name(name: str | None) -> None:
    if name is None:
        return
    if not isinstance(name, str) or not name or not name.isprintable():
        raise OptionError("name", "must be one line of printable text, or None")
    if len(name.encode()) > MAX_NAME_BYTES:
        raise OptionError("name", f"must be at most {MAX_NAME_BYTES} bytes of UTF-8")


def _patterns(option: str, right: bool | Sequence[str]) -> Patterns:
    if isinstance(right, bool):
        right = EVERY_ROOM if right else ()
    elif isinstance(right, str):
        right = (right,)
    try:
        return Patterns(right)
    except PatternError as error:
        raise OptionError(option, str(error)) from None
    except TypeError:
        raise OptionError(option, "must be True, False or patterns of rooms, as in /news/*") from None


def _is_time(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


ANYONE = Identity(None)
"""Everybody who comes to an open server: without a name, with every right, for ever."""
