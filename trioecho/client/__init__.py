"""The client as a library: ``open_client()``, what it yields, and every error that it raises."""

from trioecho.client.client import Client, open_client
from trioecho.client.close_info import CloseInfo
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
from trioecho.client.reconnect import Reconnect
from trioecho.client.state import Change, Connected, Missed, Reconnecting
from trioecho.options import OptionError
from trioecho.protocol.url import Address, basic_credentials, parse_address

__all__ = [
    "Address",
    "CertificateNotTrusted",
    "Change",
    "Client",
    "ClientError",
    "ClientOptions",
    "CloseInfo",
    "ConnectFailed",
    "Connected",
    "ConnectionClosed",
    "ConnectionLost",
    "Missed",
    "NotWebSocket",
    "OptionError",
    "Options",
    "Reconnect",
    "Reconnecting",
    "Rejected",
    "basic_credentials",
    "open_client",
    "parse_address",
]
