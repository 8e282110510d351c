"""Whether an identity may do what its request asks for."""

from __future__ import annotations

from trioecho.access.identity import Identity, Refusal
from trioecho.http.request import Request

__all__ = ["check_rights"]

NO_SUBSCRIBE = Refusal(403, "Not allowed to subscribe to this room.")
NO_PUBLISH = Refusal(403, "Not allowed to publish in this room.")
PUBLISH_ONLY = Refusal(403, "Not allowed to subscribe to this room: only to publish, by POST.")


def check_rights(identity: Identity, request: Request) -> Refusal | None:
    """
    Return why a request for a room is refused to an identity, or ``None``.

    POST needs the right to publish, everything else (WebSocket, events, stats) the right to subscribe. A
    WebSocket that may not publish too is let in: what it then publishes is refused.
    """
    if request.method == "POST":
        return None if identity.may_publish(request.path) else NO_PUBLISH
    if identity.may_subscribe(request.path):
        return None
    return PUBLISH_ONLY if identity.may_publish(request.path) else NO_SUBSCRIBE
