"""
A room's name: the path of its URL, percent-decoded, with the leading slash: ``/``, ``/news``.

One rule for everybody who names a room: a client in the URL it opens, the application in a call.
"""

from __future__ import annotations

from trioecho.limits import MAX_ROOM_NAME_BYTES

__all__ = ["RoomNameError", "RoomNameTooLong", "check_room_name", "decode_room_name"]

QUOTED_LENGTH = 40
"""How much of a wrong name an error quotes (characters)."""


class RoomNameError(ValueError):
    """No room can have this name."""


class RoomNameTooLong(RoomNameError):
    """The name is longer than a room's name may be."""


def check_room_name(name: str) -> bytes:
    """
    Return the UTF-8 of ``name``, if a room can have this name.

    Raises:
        TypeError: the name is not a ``str``.
        RoomNameError: it does not begin with a slash, is longer than 255 bytes, or UTF-8 cannot encode it.

    """
    if not isinstance(name, str):
        raise TypeError(f"a room's name is a str, not {type(name).__name__}")
    if not name.startswith("/"):
        start = name[:QUOTED_LENGTH]
        raise RoomNameError(f"a room's name must begin with a slash, as in {'/' + start!r}, not {start!r}")
    try:
        encoded = name.encode()
    except UnicodeEncodeError:
        raise RoomNameError("a room's name must be text that UTF-8 can encode") from None
    if len(encoded) > MAX_ROOM_NAME_BYTES:
        raise RoomNameTooLong(f"a room's name has at most {MAX_ROOM_NAME_BYTES} bytes, not {len(encoded)}")
    return encoded


def decode_room_name(path: bytes) -> str:
    """
    Return the name that a URL's path stands for, once it is percent-decoded.

    Raises:
        RoomNameError: no room can have this name.

    """
    if len(path) > MAX_ROOM_NAME_BYTES:
        raise RoomNameTooLong(f"a room's name has at most {MAX_ROOM_NAME_BYTES} bytes, not {len(path)}")
    try:
        name = path.decode()
    except UnicodeDecodeError:
        raise RoomNameError("a room's name must be UTF-8, percent-encoded") from None
    check_room_name(name)
    return name
