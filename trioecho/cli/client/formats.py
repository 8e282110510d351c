"""How messages are written to a pipe and read from it: as lines, between NULs, raw, or as JSON."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from trioecho.protocol.escape import escape, escape_json

__all__ = ["Format", "Json", "Raw", "Records"]


class Format(Protocol):
    """One way of writing messages and reading them back."""

    @property
    def separator(self) -> bytes | None:
        """What ends a record of standard input; None: each block read is a record."""

    def encode(self, message: str | bytes) -> bytes:
        """What to write for a message, with whatever separates it from the next."""

    def decode(self, record: bytes) -> str | bytes:
        """
        Read the message in a record, whose separator has been removed.

        Raises:
            ValueError: it holds none; the text says what is wrong, as the end of a sentence.

        """


@dataclass(frozen=True, slots=True)
class Records:
    """
    One record a message, each ending in a newline or NUL: text unchanged, binary in base64.

    With ``binary``, records are sent as binary messages, byte for byte. With ``safe``, text is escaped so
    that it cannot control a terminal.
    """

    separator: bytes | None = b"\n"
    binary: bool = False
    safe: bool = False

    def encode(self, message: str | bytes) -> bytes:
        """Write the message and the separator."""
        assert self.separator is not None
        if isinstance(message, bytes):
            return base64.b64encode(message) + self.separator
        return (escape(message) if self.safe else message).encode() + self.separator

    def decode(self, record: bytes) -> str | bytes:
        """Take the record as it is."""
        return record if self.binary else as_text(record)


@dataclass(frozen=True, slots=True)
class Raw:
    """
    Messages written one after the other with nothing between, so that a binary stream stays what it was.

    With ``binary``, standard input is sent in binary messages of whatever was read at once; otherwise it is
    read line by line. With ``safe``, what is written is escaped so that it cannot control a terminal.
    """

    binary: bool = False
    safe: bool = False

    @property
    def separator(self) -> bytes | None:
        """Lines for text, blocks for binary."""
        return None if self.binary else b"\n"

    def encode(self, message: str | bytes) -> bytes:
        """Write the message."""
        if self.safe:
            text = message if isinstance(message, str) else message.decode(errors="backslashreplace")
            return escape(text).encode()
        return message.encode() if isinstance(message, str) else message

    def decode(self, record: bytes) -> str | bytes:
        """Take the record as it is."""
        return record if self.binary else as_text(record)


@dataclass(frozen=True, slots=True)
class Json:
    """
    One JSON object a line: ``time`` (UTC), ``type`` (text or binary), ``room``, ``data`` or ``base64``.

    To be sent, an object needs ``data`` (text) or ``base64`` (binary), and all else is ignored; a JSON string
    alone is a text message. So what one client wrote another can send. With ``safe``, characters that could
    control a terminal are written as JSON escapes.
    """

    room: str
    separator: bytes | None = b"\n"
    safe: bool = False

    def encode(self, message: str | bytes) -> bytes:
        """Write the message with what is known about it."""
        content = (
            {"type": "text", "room": self.room, "data": message}
            if isinstance(message, str)
            else {"type": "binary", "room": self.room, "base64": base64.b64encode(message).decode()}
        )
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        line = json.dumps({"time": now, **content}, ensure_ascii=False)
        return (escape_json(line) if self.safe else line).encode() + b"\n"

    def decode(self, record: bytes) -> str | bytes:
        """Read an object or a string."""
        try:
            given = json.loads(record)
        except ValueError:
            raise ValueError("is not JSON") from None
        except RecursionError:
            raise ValueError("is JSON nested too deeply to be read") from None
        if isinstance(given, dict) and ("data" in given) != ("base64" in given):
            given = given["data"] if "data" in given else _unbase64(given["base64"])
        if isinstance(given, str) and any("\ud800" <= character <= "\udfff" for character in given):
            raise ValueError("contains half of a surrogate pair, which UTF-8 cannot encode")
        if not isinstance(given, (str, bytes)):
            raise ValueError('is neither a string nor an object with "data" or "base64"')
        return given


def as_text(record: bytes) -> str:
    """Take bytes as UTF-8."""
    try:
        return record.decode()
    except UnicodeDecodeError:
        raise ValueError("is not UTF-8 text (--binary sends bytes as they are)") from None


def _unbase64(given: object) -> bytes:
    try:
        return base64.b64decode(given if isinstance(given, str) else "!", validate=True)
    except ValueError:
        raise ValueError('has no base64 in "base64"') from None
