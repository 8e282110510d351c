"""
The head of a WebSocket handshake, read without h11.

h11 takes as long to read a handshake as all the rest of it takes, and when ten thousand clients come back at
once, handshakes are all there is to do. So the ordinary one is read here: a GET of HTTP/1.1 with one Host,
no body, and nothing in it that h11 would refuse or read in another way. Whatever else comes is left to h11,
which stays the judge of what is wrong; a test holds the two against each other.
"""

from __future__ import annotations

import re

from trioecho.http.request import Request, parse_target

__all__ = ["parse_upgrade_head"]

REQUEST_LINE = re.compile(rb"GET ([\x21-\x7e]+) HTTP/1\.1")
"""A request line as in RFC 9112, section 3, of the only method and version that upgrade."""

NAMES = re.compile(rb"[A-Za-z0-9!#$%&'*+.^_`|~-]+(?::[A-Za-z0-9!#$%&'*+.^_`|~-]+)*")
"""Names of headers (RFC 9110, 5.1), joined by colons."""

ODD = re.compile(rb"[\x00\x0b\x0c]")
"""What h11 takes in no value, beside the ends of lines."""

OF_BODIES = {"content-length", "transfer-encoding", "expect"}


def parse_upgrade_head(head: bytes) -> Request | None:
    """
    Read a head, which ends in an empty line and has no bare CR or LF and no folded header.

    ``None``: it is no handshake, or none of the ordinary ones.

    Raises:
        HTTPError: it would be one, if the address were a room's.

    """
    first, *lines = head[:-4].split(b"\r\n")
    line = REQUEST_LINE.fullmatch(first)
    if line is None or ODD.search(head):
        return None
    split = [header.partition(b":") for header in lines]
    if not NAMES.fullmatch(b":".join([name for name, _, _ in split])):
        return None
    if not all(colon for _, colon, _ in split):
        return None
    headers = tuple(
        [(name.lower().decode(), value.strip(b" \t").decode("latin-1")) for name, _, value in split]
    )
    names = [name for name, _ in headers]
    if names.count("host") != 1 or "upgrade" not in names or not OF_BODIES.isdisjoint(names):
        return None
    path, query = parse_target(line[1])
    return Request("GET", path, query, headers)
