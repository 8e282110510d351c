"""What compression costs a client in the server's memory: next to nothing, whether it listens or sends."""

from __future__ import annotations

import resource
import socket
import zlib
from contextlib import ExitStack
from pathlib import Path

import pytest
from helpers.browser import ServerProcess
from helpers.raw_peer import BINARY, frame, request

RSV1 = 0x40
OFFER = {b"Sec-WebSocket-Extensions": b"permessage-deflate; client_max_window_bits"}
COUNT = 300
SETTLED = 30
"""Clients before the first look: what the server needs once is there by then."""


def deflated(payload: bytes) -> bytes:
    using = zlib.compressobj(6, wbits=-15)
    return (using.compress(payload) + using.flush(zlib.Z_SYNC_FLUSH))[:-4]


def resident(server: ServerProcess) -> int:
    """The server's memory (bytes)."""
    pages = Path(f"/proc/{server._process.pid}/statm").read_text().split()[1]
    return int(pages) * resource.getpagesize()


def bytes_a_client(*, compressed: bool, message: bytes) -> float:
    """What a client costs, each in a room of its own, that has sent ``message``."""
    payload = deflated(message) if compressed else message
    sent = frame(BINARY | RSV1 if compressed else BINARY, payload) if message else b""
    server = ServerProcess("--max-connections", "1000", "--history", "0")
    try:
        with ExitStack() as stack:
            for number in range(SETTLED + COUNT):
                if number == SETTLED:
                    before = resident(server)
                peer = stack.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=20))
                peer.sendall(request(b"/%d" % number, headers=OFFER if compressed else {}))
                heard = b""
                while b"\r\n\r\n" not in heard:
                    heard += peer.recv(65536)
                assert (b"permessage-deflate" in heard) is compressed
                if sent:
                    peer.sendall(sent)
                    peer.sendall(frame(0x9, b"done"))
                    heard = b""
                    while not heard.endswith(b"\x8a\x04done"):
                        heard += peer.recv(65536)
            return (resident(server) - before) / COUNT
    finally:
        server.stop()


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc")
@pytest.mark.parametrize("message", [b"", bytes(range(256)) * 256], ids=["idle", "sent 64 KiB"])
def test_a_client_that_compresses_costs_no_more_memory_than_another(message: bytes) -> None:
    plain = bytes_a_client(compressed=False, message=message)
    small = bytes_a_client(compressed=True, message=message)
    assert small < plain + 1024, f"{small:.0f} bytes against {plain:.0f}"
