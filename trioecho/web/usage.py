"""What a plain ``curl URL`` gets: what this is, and each way into the room with its command line."""

from __future__ import annotations

import json
import re
import shlex
from urllib.parse import quote

from trioecho.http.request import Request
from trioecho.settings import Audience, Settings

__all__ = ["help_text", "public_address"]

HOST = re.compile(r"[A-Za-z0-9.:\[\]_-]{1,255}")
"""A Host header that may be repeated in a response."""

PROXY_HEADERS = ("forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip")
"""What sends one of these is a proxy: the client may know another address than the one asked for here."""

WHO_GETS_IT: dict[Audience, str] = {
    "others": "What one client sends, every other client in the room gets.",
    "everyone": "What one client sends, every client in the room gets, the sender too.",
    "sender": "What a client sends comes back to it, and to nobody else.",
}

ELSEWHERE = "URL is the address that you asked for; the client takes it with ws:// or wss:// in front."
CAUTION = "Behind a proxy, use the address that you asked for instead: this server cannot know it."


def public_address(path: str, public_url: str) -> str:
    """Return the address of the room ``path`` for browsers and curl, as http or https."""
    address = re.sub(r"^ws", "http", public_url).rstrip("/")
    return address + quote(path, safe="/:@!$&*+,;=~")


def help_text(request: Request, settings: Settings) -> str:
    """
    Return a few lines about the room that was asked for.

    Its address is under ``public_url``, if that is given. Otherwise it is put together from how the
    connection came here and the Host header, and the text says that a proxy may have changed both;
    where one has surely been at work, or the header is no host, no address is claimed.
    """
    host = request.header("host") or ""
    scheme = "http" if request.peer is None else request.peer.scheme
    if settings.public_url is not None:
        address, note = public_address(request.path, settings.public_url), ""
    elif HOST.fullmatch(host) is None or any(request.values(name) for name in PROXY_HEADERS):
        address, note = "URL", ELSEWHERE
    else:
        address, note = public_address(request.path, f"{scheme}://{host}"), CAUTION
    url, client_url = shlex.quote(address), shlex.quote(re.sub(r"^http", "ws", address))
    lines = [
        "This is trioecho, a WebSocket broadcast server,"
        f" and {json.dumps(request.path)} is one of its rooms.",
        WHO_GETS_IT[settings.to],
        "",
        f"  talk       trioecho client {client_url}",
    ]
    if settings.page:
        lines.append(f"  look       open {url} in a browser")
    if settings.events:
        lines.append(f"  listen     curl -N -H 'Accept: text/event-stream' {url}")
    lines.append(f"  publish    curl -H 'Content-Type: text/plain' -d 'Hello' {url}")
    if settings.stats:
        lines.append(f"  count      curl -H 'Accept: application/json' {url}")
    if settings.takes_tokens:
        lines += [
            "",
            'A token is needed: --token with trioecho client, -H "Authorization: Bearer $TOKEN" with curl.',
        ]
    if note:
        lines += ["", note]
    return "\n".join(lines) + "\n"
