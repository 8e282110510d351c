"""The client as a library: ``open_client()`` and what it yields and raises."""

from trioecho.client.changes import Away, Change, Connected
from trioecho.client.client import Client, open_client
from trioecho.client.end import End
from trioecho.client.errors import (
    CertificateNotTrusted,
    ClientError,
    ConnectFailed,
    ConnectionClosed,
    ConnectionLost,
    NotWebSocket,
    Rejected,
)
from trioecho.client.options import ClientOptions
from trioecho.client.reconnect import Reconnect

__all__ = [
    "Away",
    "CertificateNotTrusted",
    "Change",
    "Client",
    "ClientError",
    "ClientOptions",
    "ConnectFailed",
    "Connected",
    "ConnectionClosed",
    "ConnectionLost",
    "End",
    "NotWebSocket",
    "Reconnect",
    "Rejected",
    "open_client",
]
