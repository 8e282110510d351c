"""The client as a library: ``open_client()`` and what it yields and raises."""

from trioecho.client.client import Client, open_client
from trioecho.client.errors import (
    CertificateNotTrusted,
    ClientError,
    ConnectFailed,
    ConnectionClosed,
    ConnectionLost,
    NotWebSocket,
    Rejected,
)
from trioecho.client.options import ClientOptions, Options
from trioecho.client.outcome import End
from trioecho.client.proxy import basic_credentials
from trioecho.client.reconnect import Reconnect
from trioecho.client.state import Away, Change, Connected
from trioecho.protocol.url import Address, parse_address

__all__ = [
    "Address",
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
    "Options",
    "Reconnect",
    "Rejected",
    "basic_credentials",
    "open_client",
    "parse_address",
]
