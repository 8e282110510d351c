"""h11's events, and its errors as responses."""

from __future__ import annotations

import re

import h11

from trioecho.http.response import HTTPError, Response, error_response
from trioecho.protocol.escape import quote

__all__ = ["HEAD_TOO_LARGE", "MAX_HEAD_BYTES", "next_event"]

MAX_HEAD_BYTES = 16 * 1024
"""The largest request head (bytes); browsers with many cookies stay under 8 KiB."""

QUOTED = re.compile(r":? ?(?:bytearray\()?b['\"].*", re.DOTALL)
"""Where h11's error messages quote the request: it may be a token, and it is as long as the client likes."""

MAX_QUOTE = 100
"""How much of what h11 says is repeated in a response (characters)."""

HEAD_TOO_LARGE = error_response(431, f"The request head is larger than {MAX_HEAD_BYTES} bytes.")


def next_event(http: h11.Connection) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
    """
    Return what h11 finds next.

    Raises:
        HTTPError: that is not valid.

    """
    try:
        return http.next_event()
    except h11.RemoteProtocolError as error:
        error.__traceback__ = None  # h11 raises an error from a frame that holds it: a cycle
        response = _invalid(error)
    raise HTTPError(response)


def _invalid(error: h11.RemoteProtocolError) -> Response:
    if error.error_status_hint == 431:
        return HEAD_TOO_LARGE
    if error.error_status_hint == 501:
        return error_response(501, "A body may be sent in chunks, and in no other transfer coding.")
    why = quote(QUOTED.sub("", str(error)), MAX_QUOTE)
    return error_response(400, f"This is not a valid HTTP request: {why}.")
