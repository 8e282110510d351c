"""The URL under which clients reach a listener, for the log and for whoever started the server."""

from __future__ import annotations

from urllib.parse import quote

import trio

from trioecho.transport.unix_listener import lasting_path

__all__ = ["url_of"]


def url_of(listener: trio.abc.Listener[trio.abc.Stream], *, tls: bool = False) -> str:
    """
    Return the URL of the room ``/`` there, for a client; the name of another room goes right behind it.

    With ``tls``, connections over TCP are wrapped in TLS once they are accepted.
    """
    path = getattr(listener, "path", None)
    if isinstance(path, str):
        return f"ws+unix:{quote(path)}:/"
    scheme = "ws"
    if isinstance(listener, trio.SSLListener):
        scheme, listener = "wss", listener.transport_listener
    if not isinstance(listener, trio.SocketListener):
        return f"{scheme}://"
    name = listener.socket.getsockname()
    if not isinstance(name, tuple):
        return f"{scheme}+unix:{quote(lasting_path(_path(name)))}:/"
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(name[0], name[0])
    return f"{'wss' if tls else scheme}://{_host_and_port((host, name[1]))}/"


def _path(name: str | bytes) -> str:
    return name if isinstance(name, str) else name.decode(errors="replace")


def _host_and_port(name: tuple[object, ...]) -> str:
    host, port = name[0], name[1]
    return f"[{host}]:{port}" if ":" in str(host) else f"{host}:{port}"
