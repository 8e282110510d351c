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
from trioecho.rooms.conversation import Conversation
from trioecho.rooms.heard import Heard
from trioecho.rooms.hub import Hub, ShuttingDown, TooManyRooms
from trioecho.rooms.member import Member
from trioecho.rooms.statistics import HubStatistics
from trioecho.rooms.subscription import Disconnected, SourcedSubscription, Subscription
from trioecho.rooms.to import Relay, To
from trioecho.server.open_hub import open_hub
from trioecho.server.serve import serve
from trioecho.server.server import Server
from trioecho.sessions.hooks import OnJoin, OnLeave, OnMessage
from trioecho.sessions.route import RouteHandler
from trioecho.settings import HubOptions, Options, Settings
from trioecho.transport.listeners import ListenError

__version__ = "0.1.0"

__all__ = [
    "CertificateNotTrusted",
    "Client",
    "ClientError",
    "ConnectFailed",
    "ConnectionClosed",
    "ConnectionLost",
    "Conversation",
    "Counters",
    "Disconnect",
    "Disconnected",
    "Heard",
    "Hub",
    "HubOptions",
    "HubStatistics",
    "Identity",
    "ListenError",
    "Member",
    "NotWebSocket",
    "OnJoin",
    "OnLeave",
    "OnMessage",
    "OptionError",
    "Options",
    "Reconnect",
    "Refusal",
    "Rejected",
    "Relay",
    "Request",
    "Response",
    "RouteHandler",
    "Server",
    "Settings",
    "ShuttingDown",
    "SourcedSubscription",
    "Subscription",
    "To",
    "TooManyRooms",
    "open_client",
    "open_hub",
    "serve",
]
