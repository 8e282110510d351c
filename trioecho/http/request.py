"""A request's head as a value: what is asked for, and of which room."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from urllib.parse import unquote_to_bytes

import h11

from trioecho.http.response import HTTPError, error_response
from trioecho.protocol.room_name import RoomNameError, RoomNameTooLong, decode_room_name
from trioecho.transport.peer import Peer

__all__ = ["Request", "parse_request", "parse_target"]


async def _no_body() -> bytes:
    return b""


@dataclass(slots=True, eq=False)
class Request:
    """
    One request.

    Attributes:
        method: as it came; methods are case-sensitive.
        path: the address's path, percent-decoded: the room's name.
        query: what follows the question mark, as it came.
        headers: names in lower case and values, in the order they came.
        http11: whether it is HTTP/1.1, not 1.0.
        has_body: whether a body follows, or may.
        read: wait for the whole body and return it. What it raises (the body is too large, not valid, or too
            late) is answered by the server and need not be caught.
        early: bytes that came after it, of a client that switches protocols.
        peer: who sent it.

    """

    method: str
    path: str
    query: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    http11: bool = True
    has_body: bool = False
    read: Callable[[], Awaitable[bytes]] = _no_body
    early: bytes = b""
    peer: Peer | None = None
    _named: dict[str, list[str]] | None = field(default=None, init=False, repr=False)

    def values(self, name: str) -> list[str]:
        """Return the values of all headers of this name (in lower case)."""
        if self._named is None:  # a handshake asks for a dozen
            self._named = defaultdict(list)
            for key, value in self.headers:
                self._named[key].append(value)
        return self._named.get(name, [])

    def header(self, name: str) -> str | None:
        """Return the value of a header, several as one list (RFC 9110, 5.2), or ``None``."""
        return ", ".join(self.values(name)) or None

    def set_header(self, name: str, value: str) -> None:
        """Put one value in the place of all that a header has."""
        others = [(key, other) for key, other in self.headers if key != name]
        self.headers, self._named = ((name, value), *others), None

    def tokens(self, name: str) -> list[str]:
        """Return the elements of a header that is a list of tokens, in lower case."""
        return [token.strip().lower() for value in self.values(name) for token in value.split(",")]


def parse_request(event: h11.Request) -> Request:
    """
    Make a request of what h11 has read.

    Raises:
        HTTPError: its target is not a room's address, or its body could be read in two ways, which is how
            requests are smuggled past a proxy (RFC 9112, 6.1 and 11.2).

    """
    headers = tuple([(name.decode(), value.decode("latin-1")) for name, value in event.headers])
    names = [name for name, _ in headers]
    http11 = event.http_version == b"1.1"
    if event.http_version[:1] != b"1":
        raise HTTPError(error_response(505, "Only HTTP/1.1 and HTTP/1.0 are spoken here."))
    chunked = "transfer-encoding" in names
    if chunked and ("content-length" in names or not http11):
        raise HTTPError(error_response(400, "The length of the body is given in two ways."))
    length = [value for name, value in headers if name == "content-length"]
    path, query = parse_target(event.target)
    has_body = chunked or any(int(value) for value in length)
    return Request(event.method.decode(), path, query, headers, http11, has_body)


def parse_target(target: bytes) -> tuple[str, str]:
    """
    Split the target of a request into the path, percent-decoded, and the query.

    Raises:
        HTTPError: it is not a room's address.

    """
    path, _, query = target.partition(b"?")
    scheme, separator, rest = path.partition(b"://")
    if separator and scheme.lower() in (b"ws", b"wss", b"http", b"https"):  # absolute form, as to a proxy
        path = b"/" + rest.partition(b"/")[2]
    if not path.startswith(b"/") or b"#" in path:
        raise HTTPError(error_response(400, "The address must be a path, for example /news."))
    try:
        return decode_room_name(unquote_to_bytes(path)), query.decode("latin-1")
    except RoomNameTooLong as problem:
        raise HTTPError(error_response(414, _sentence(problem))) from None
    except RoomNameError as problem:
        raise HTTPError(error_response(400, _sentence(problem))) from None


def _sentence(problem: Exception) -> str:
    text = str(problem)
    return f"{text[0].upper()}{text[1:]}."
