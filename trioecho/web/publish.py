"""Publishing by POST: the body is a message for everybody in the room."""

from __future__ import annotations

import trio

from trioecho.http.request import Request
from trioecho.http.response import HTTPError, Response, error_response, json_response, text_response
from trioecho.protocol.frames import BINARY, TEXT, data_frame
from trioecho.rooms.registry import ShuttingDown
from trioecho.sessions.state import ServerState

__all__ = ["publish"]

NO_LENGTH = error_response(411, "Say how long the body is: with Content-Length, or by sending it in chunks.")
NOT_UTF8 = text_response(
    400, "Text must be UTF-8: send it as application/octet-stream if it is to be binary."
)
SHUTTING_DOWN = error_response(
    503, "The server is shutting down and did not take the message: try again later.", ("Retry-After", "5")
)
FULL = text_response(503, "The room is full: try again later.", ("Retry-After", "1"))


async def publish(state: ServerState, request: Request) -> Response:
    """
    Publish the body of a request that was admitted; wait while the room is full, at most for the stall limit.

    Raises:
        HTTPError: the body can't be had, the room stays full, or
            the server is shutting down.

    """
    hub = state.hub
    if not request.has_body and request.header("content-length") is None:
        raise HTTPError(NO_LENGTH)
    body = await request.read()
    if is_text(request.header("content-type") or ""):
        try:
            body.decode()
        except UnicodeDecodeError:
            raise HTTPError(NOT_UTF8) from None
        frame = data_frame(TEXT, body)
    else:
        frame = data_frame(BINARY, body)
    with trio.move_on_after(hub.limits.stall_limit):
        try:
            receivers = await hub.relay(request.path, state.inbound.prepare(frame))
        except ShuttingDown:
            raise HTTPError(SHUTTING_DOWN) from None
        hub.counters.messages_in += 1
        hub.counters.bytes_in += len(frame)
        return json_response(202, {"room": request.path, "receivers": receivers})
    raise HTTPError(FULL)


def is_text(content_type: str) -> bool:
    """Whether a body of this type is a text message: any text, and JSON."""
    kind = content_type.partition(";")[0].strip().lower()
    return kind.startswith("text/") or kind == "application/json" or kind.endswith("+json")
