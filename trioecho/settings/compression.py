"""Options of compression (permessage-deflate)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from trioecho.limits import MIB
from trioecho.option_kinds import Size, Switch, Texts, Whole
from trioecho.options import Group

__all__ = ["Compression"]


@dataclass(frozen=True, kw_only=True)
class Compression(Group):
    """Compression."""

    title: ClassVar[str] = "Compression"

    compress: Annotated[
        bool, Switch("Compress messages for WebSocket clients that offer it, once for a whole room.")
    ] = True
    """
    Whether compression (RFC 7692) is agreed on with clients that offer it, as all browsers do. Who offers
    nothing gets exactly the same bytes either way.
    """

    compress_level: Annotated[
        int, Whole("How hard to compress: 1 is quickest, 9 makes the fewest bytes.", low=1, high=9)
    ] = 3
    """
    zlib's level. 1 makes some 9 % more bytes for up to 8 % less time; 6 some 9 % fewer for 15 to 45 % more.
    """

    compress_min: Annotated[int, Size("Smaller messages are sent as they are.", low=1, high=MIB)] = 64
    """The smallest message that is compressed (bytes of payload): of less than 64 little is left to win."""

    no_compress_room: Annotated[
        tuple[str, ...],
        Texts(
            "Compress nothing in rooms whose name matches, as in /private/*; may be given several times.",
            metavar="PATTERN",
        ),
    ] = ()
    """
    Rooms in which nothing is compressed. The length of what is compressed together tells something of its
    content, to somebody who can see encrypted traffic and put words of their own into the same room.
    """
