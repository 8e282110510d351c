"""What a plain ``curl URL`` is told: what this is, and each way in with its command line."""

from __future__ import annotations

import json
import re
import shlex
from urllib.parse import quote

from trioecho.http.request import Request
from trioecho.settings import Settings

__all__ = ["help_text"]

HOST = re.compile(r"[A-Za-z0-9.:\[\]_-]{1,255}")
"""A Host header that may be repeated in an answer; another is replaced."""


def help_text(request: Request, limits: Settings) -> str:
    """Return a few lines about the room that was asked for."""
    host = request.header("host") or ""
    if HOST.fullmatch(host) is None:
        host = "HOST:PORT"
    path = quote(request.path, safe="/:@!$&*+,;=~")
    url = shlex.quote(f"http://{host}{path}")
    lines = [
        f"This is trioecho, a WebSocket broadcast server, and {json.dumps(request.path)} one of its rooms.",
        "What one client sends, every other client in the room gets.",
        "",
        f"  talk       trioecho client {shlex.quote(f'ws://{host}{path}')}",
    ]
    if limits.page:
        lines.append(f"  look       open {url} in a browser")
    if limits.events:
        lines.append(f"  listen     curl -N -H 'Accept: text/event-stream' {url}")
    lines.append(f"  publish    curl -H 'Content-Type: text/plain' -d 'Hello' {url}")
    if limits.stats:
        lines.append(f"  count      curl -H 'Accept: application/json' {url}")
    if limits.takes_tokens:
        lines += [
            "",
            'A token is needed: --token with trioecho client, -H "Authorization: Bearer $TOKEN" with curl.',
        ]
    return "\n".join(lines) + "\n"
