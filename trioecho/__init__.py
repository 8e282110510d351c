"""
A WebSocket broadcast server on trio: what one client sends, every other client in its room gets.

:func:`serve` runs a server, :class:`Server` is a running one, :class:`Hub` its rooms; :func:`open_client`
is a client for any WebSocket server.
"""

from trioecho.access.identity import Identity, Refusal
from trioecho.client import (
    CertificateNotTrusted,
    Client,
    ClientError,
    ConnectFailed,
    ConnectionClosed,
    ConnectionLost,
    NotWebSocket,
    Reconnect,
    Rejected,
    open_client,
)
from trioecho.counters import Counters
from trioecho.disconnect import Disconnect
from trioecho.http.request import Request
from trioecho.http.response import Response
from trioecho.options import OptionError
from trioecho.rooms.hub import Hub, ShuttingDown, TooManyRooms
from trioecho.rooms.subscription import Disconnected, Subscription
from trioecho.server.serve import Server, serve
from trioecho.settings import Options, Settings
from trioecho.transport.listeners import ListenError

__version__ = "0.1.0"

__all__ = [
    "CertificateNotTrusted",
    "Client",
    "ClientError",
    "ConnectFailed",
    "ConnectionClosed",
    "ConnectionLost",
    "Counters",
    "Disconnect",
    "Disconnected",
    "Hub",
    "Identity",
    "ListenError",
    "NotWebSocket",
    "OptionError",
    "Options",
    "Reconnect",
    "Refusal",
    "Rejected",
    "Request",
    "Response",
    "Server",
    "Settings",
    "ShuttingDown",
    "Subscription",
    "TooManyRooms",
    "open_client",
    "serve",
]
