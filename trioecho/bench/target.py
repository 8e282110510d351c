"""The server that is driven: what its URL means, and how to trust it."""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

from trioecho.options import OptionError

__all__ = ["Target", "UrlError"]


class UrlError(ValueError):
    """What was given is no WebSocket URL; the text is one sentence that says why."""


@dataclass(frozen=True, slots=True)
class Target:
    """A WebSocket server. ``path`` has the query with it; ``tls`` is ``None`` for plain ``ws``."""

    host: str
    port: int
    path: str
    tls: ssl.SSLContext | None = None

    @classmethod
    def parse(cls, url: str, *, cacert: Path | None = None, insecure: bool = False) -> Target:
        """
        Read a ``ws://`` or ``wss://`` URL; without a scheme, ``ws://`` is meant.

        Certificates are checked against the system's authorities, or against those in ``cacert``, or, if
        ``insecure``, not at all.

        Raises:
            UrlError: it is not such a URL.
            OptionError: the authorities cannot be read.

        """
        if url and "://" not in url:
            url = f"ws://{url}"
        try:
            parts: SplitResult = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise UrlError(f"{url!r} is not a URL: {error}") from None
        if parts.scheme not in ("ws", "wss") or not parts.hostname:
            raise UrlError(f"the URL must look like ws://HOST:PORT/ROOM or wss://..., not {url!r}")
        if not url.isascii() or any(character <= " " for character in url):
            raise UrlError("the URL must be written in printable ASCII, the rest percent-encoded")
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        tls = _trust(cacert, insecure) if parts.scheme == "wss" else None
        return cls(parts.hostname, port or (443 if tls else 80), path, tls)

    def room(self, number: int, rooms: int) -> str:
        """The path of one of so many rooms; a lone room is the URL's path itself."""
        if rooms == 1:
            return self.path
        path, question, query = self.path.partition("?")
        return f"{path.rstrip('/')}/{number}{question}{query}"

    def addresses(self) -> list[tuple[int, Any]]:
        """
        The address families and addresses of the host, in the order of preference.

        Raises:
            OSError: the host has none.

        """
        found = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
        return [(family, address) for family, _, _, _, address in found]

    @property
    def authority(self) -> str:
        """Host and port as the ``Host`` header has them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def _trust(cacert: Path | None, insecure: bool) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=cacert)
    except ssl.SSLError:
        raise OptionError(
            "cacert", f"{cacert} holds no certificate that can be used (it must be PEM)"
        ) from None
    except OSError as error:
        raise OptionError("cacert", f"{cacert} cannot be read: {error.strerror}") from None
    if insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
