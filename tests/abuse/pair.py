"""
A pair of honest clients in a room of their own, as a process: ``python -m abuse.pair PORT SECONDS``.

One sends a small message and the other gets it, which is a round: once around through the server and back to
this process. Then it is the other's turn to send. A line is printed when both are in the room, a line is
awaited from standard input, and at the end what was measured is printed as JSON.

A round begins every 5 ms. Those that come due while another is under way wait for it, and have then taken as
long as they have waited: a server that stands still is not seen once, but by all who would have talked.
Sockets that block and nothing else, so that what is measured is the server.
"""

from __future__ import annotations

import json
import socket
import sys
import time

from helpers.raw_peer import BINARY, CLOSE, PING, PONG, frame, request

__all__ = ["INTERVAL", "Cut", "rounds"]

INTERVAL = 0.005
"""Seconds from the beginning of a round to the next one's."""

LIMIT = 30.0
"""Seconds without an answer after which the server counts as dead."""

PAYLOAD = 64 * b"x"


class Cut(Exception):
    """One of the pair was disconnected."""


class Honest:
    """One of the pair."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), LIMIT)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.sendall(request(b"/honest"))
        self._received = b""
        while b"\r\n\r\n" not in self._received:
            self._receive()
        head, _, self._received = self._received.partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 101 "):
            raise Cut(f"an honest client was not let in: {head[:100]!r}")

    def close(self) -> None:
        """Hang up."""
        self._socket.close()

    def say(self) -> None:
        """Send a message."""
        self._socket.sendall(frame(BINARY, PAYLOAD))

    def hear(self) -> None:
        """Wait for a message, and answer pings meanwhile."""
        while (opcode := self._frame()[0]) != BINARY:
            if opcode == CLOSE:
                raise Cut("an honest client was disconnected")
            if opcode == PING:
                self._socket.sendall(frame(PONG))

    def _frame(self) -> tuple[int, bytes]:
        """Return the next frame; all are small, and a server's are not masked."""
        while len(self._received) < 2 or len(self._received) < 2 + self._received[1]:
            self._receive()
        end = 2 + self._received[1]
        found, self._received = self._received[:end], self._received[end:]
        return found[0] & 0x0F, found[2:]

    def _receive(self) -> None:
        data = self._socket.recv(4096)
        if not data:
            raise Cut("an honest client was disconnected without a close frame")
        self._received += data


def rounds(one: Honest, other: Honest, seconds: float) -> list[float]:
    """Talk for so long; returns how long each round took (seconds)."""
    took: list[float] = []
    due = began = time.perf_counter()
    while due < began + seconds:
        time.sleep(max(0.0, due - time.perf_counter()))
        one.say()
        other.hear()
        end = time.perf_counter()
        one, other = other, one
        while due < end:
            took.append(end - due)
            due += INTERVAL
    return took


def main() -> None:
    """Run it."""
    port, seconds = int(sys.argv[1]), float(sys.argv[2])
    try:
        one, other = Honest(port), Honest(port)
        rounds(one, other, 0.2)
        print("here", flush=True)
        sys.stdin.readline()
        print(json.dumps({"took": rounds(one, other, seconds)}), flush=True)
        sys.stdin.readline()  # and they stay until it is over
    except (Cut, OSError) as error:
        print(json.dumps({"cut": str(error) or type(error).__name__}), flush=True)


if __name__ == "__main__":
    main()
