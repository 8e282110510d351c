"""The client as a library: ``open_client()`` and what it yields and raises."""

from trioecho.client.client import Client, open_client
from trioecho.client.end import End
from trioecho.client.errors import (
    CertificateNotTrusted,
    ClientError,
    ConnectFailed,
    ConnectionClosed,
    ConnectionLost,
    Rejected,
)

__all__ = [
    "CertificateNotTrusted",
    "Client",
    "ClientError",
    "ConnectFailed",
    "ConnectionClosed",
    "ConnectionLost",
    "End",
    "Rejected",
    "open_client",
]
