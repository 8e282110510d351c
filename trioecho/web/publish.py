"""Publishing by POST: the body is a message for everybody in the room."""

from __future__ import annotations

import trio

from trioecho.access.identity import Identity
from trioecho.http.request import Request
from trioecho.http.response import HTTPError, Response, error_response, json_response, text_response
from trioecho.protocol import frames
from trioecho.protocol.frames import BINARY, TEXT, data_frame
from trioecho.rooms.heard import Posted
from trioecho.rooms.member import Member
from trioecho.rooms.registry import ShuttingDown
from trioecho.sessions.hooks import HookError
from trioecho.sessions.relaying import relay
from trioecho.sessions.state import ServerState

__all__ = ["publish"]

NO_LENGTH = error_response(411, "Say how long the body is: with Content-Length, or by sending it in chunks.")
NOT_UTF8 = text_response(
    400, "Text must be UTF-8: send it as application/octet-stream if it is to be binary."
)
SHUTTING_DOWN = error_response(
    503, "The server is shutting down and did not take the message: try again later.", ("Retry-After", "5")
)
FAILED = error_response(500, "The application failed.")
FULL = text_response(503, "The room is full: try again later.", ("Retry-After", "1"))


async def publish(state: ServerState, request: Request, identity: Identity) -> Response:
    """
    Publish the body of a request that was admitted; wait while the room is full, at most for the stall limit.

    Raises:
        HTTPError: the body can't be had, the address publishes more than its rate, the room stays full, or
            the server is shutting down.

    """
    hub = state.hub
    if not request.has_body and request.header("content-length") is None:
        raise HTTPError(NO_LENGTH)
    host = request.peer.host if request.peer is not None else ""
    state.addresses.check_post(host)
    body = await request.read()
    state.addresses.check_post_bytes(host, len(body))
    if is_text(request.header("content-type") or ""):
        try:
            body.decode()
        except UnicodeDecodeError:
            raise HTTPError(NOT_UTF8) from None
        frame = data_frame(TEXT, body)
    else:
        frame = data_frame(BINARY, body)
    if state.hooks.on_message is not None:
        return await _ask(state, request, identity, frame)
    with trio.move_on_after(hub.settings.stall_limit):
        try:
            posted = Posted(state.inbound.prepare(frame), _member(request, identity))
            receivers = await hub.publish(request.path, posted)
        except ShuttingDown:
            raise HTTPError(SHUTTING_DOWN) from None
        hub.counters.messages_in += 1
        hub.counters.bytes_in += len(frame)
        return json_response(202, {"room": request.path, "receivers": receivers})
    raise HTTPError(FULL)


async def _ask(state: ServerState, request: Request, identity: Identity, frame: bytes) -> Response:
    """
    Ask the application what becomes of a message, as of a client's.

    Raises:
        HTTPError: the application failed, or the room stays full.

    """
    assert state.hooks.on_message is not None
    hub, receivers = state.hub, 0
    member = _member(request, identity)
    (message,) = frames.messages(frame)

    async def publish_one(relayed: bytes) -> None:
        nonlocal receivers
        receivers += await hub.publish(request.path, Posted(state.inbound.prepare(relayed), member))

    try:
        answer = await state.hooks.call("on_message", state.hooks.on_message, member, message)
        with trio.move_on_after(hub.settings.stall_limit):
            await relay(state, answer, publish_one)
            hub.counters.messages_in += 1
            hub.counters.bytes_in += len(frame)
            return json_response(202, {"room": request.path, "receivers": receivers})
    except ShuttingDown:
        raise HTTPError(SHUTTING_DOWN) from None
    except HookError:
        raise HTTPError(FAILED) from None
    raise HTTPError(FULL)


def _member(request: Request, identity: Identity) -> Member:
    """Return the sender of a request, who can be sent nothing."""
    return Member(identity, request.path, "" if request.peer is None else str(request.peer))


def is_text(content_type: str) -> bool:
    """Whether a body of this type is a text message: any text, and JSON."""
    kind = content_type.partition(";")[0].strip().lower()
    return kind.startswith("text/") or kind == "application/json" or kind.endswith("+json")
