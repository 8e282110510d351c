"""The client as a library: ``open_client()`` and what it yields and raises."""

from trioecho.client.address import Address, parse_address
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
from trioecho.client.options import ClientOptions, Options
from trioecho.client.proxy import basic_credentials
from trioecho.client.reconnect import Reconnect

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
