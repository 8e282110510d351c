"""
The load generator's flood for a NATS server over WebSocket, which ``trioecho bench`` cannot speak to.

A subject is the room, and what is sent is of the same size. Each delivery is counted by its head and its
payload, which are always the same, wherever they stand in the server's frames. The report is the part of
``trioecho bench --json`` that the comparison looks at.
"""

from __future__ import annotations

import argparse
import json
import select
import socket
import time
from typing import Any

from trioecho.bench.dial import Dialler, find_route
from trioecho.bench.process import cpu_seconds
from trioecho.bench.sources import Sources
from trioecho.bench.target import Target
from trioecho.protocol.frames import BINARY, masked

HELLO = b'CONNECT {"verbose":false,"pedantic":false,"echo":false}\r\n'
MASK = b"\x5a\xa5\x3c\xc3"
LONGEST = 2**18
"""The most bytes one read takes."""

PATIENCE = 10.0
"""Seconds after which a server that delivers nothing has stalled."""


class Subscriber:
    """A connection that counts what it gets."""

    def __init__(self, connected: socket.socket, message: bytes) -> None:
        self.socket = connected
        self.got = 0
        self._message = message
        self._rest = b""

    def read(self) -> int:
        """Take what is there; returns how many messages that completed."""
        data = self._rest + self.socket.recv(LONGEST)
        if len(data) == len(self._rest):
            raise ConnectionError("the server closed a connection")
        count = data.count(self._message)
        end = data.rfind(self._message) + len(self._message) if count else 0
        self._rest = data[end:]
        self.got += count
        return count


class Flood:
    """One publisher and its subscribers, with a window of messages in flight."""

    def __init__(self, url: str, subscribers: int, window: int, size: int) -> None:
        payload = b"x" * size
        # A frame may end between any two bytes, but the server writes a message into one.
        self._message = b"MSG room 1 %d\r\n%s\r\n" % (size, payload)
        self._publish = masked(BINARY, b"PUB room %d\r\n%s\r\n" % (size, payload), MASK)
        target = Target.parse(url)
        route, (publisher, _, _) = find_route(target, "/", Sources((), subscribers + 1))
        self._publisher = publisher
        self._publisher.sendall(masked(BINARY, HELLO, MASK))
        self._window = window
        self._poll = select.epoll()
        self._by_number: dict[int, Subscriber] = {}
        with Dialler(route, ["/"] * subscribers, at_once=100) as dialler:
            for _, made in dialler.run():
                if isinstance(made, Exception):
                    raise made
                made[0].sendall(masked(BINARY, HELLO + b"SUB room 1\r\n", MASK))
                self._by_number[made[0].fileno()] = Subscriber(made[0], self._message)
                self._poll.register(made[0].fileno(), select.EPOLLIN)
        self.sent = self.delivered = 0
        time.sleep(0.5)

    def turn(self, seconds: float) -> None:
        """Keep the window full for so long."""
        until = time.perf_counter() + seconds
        progress = time.perf_counter()
        floor = min(subscriber.got for subscriber in self._by_number.values())
        while (now := time.perf_counter()) < until:
            if (room := floor + self._window - self.sent) > 0:
                self._publisher.setblocking(True)
                self._publisher.sendall(self._publish * room)
                self.sent += room
            for number, _ in self._poll.poll(0.05, len(self._by_number)):
                self.delivered += self._by_number[number].read()
                progress = now
            if now - progress > PATIENCE:
                raise SystemExit("the server stalled")
            floor = min([subscriber.got for subscriber in self._by_number.values()])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--json", action="store_true")
    for option, kind in (("pid", int), ("subscribers", int), ("window", int), ("size", int)):
        parser.add_argument(f"--{option}", type=kind, default=128)
    parser.add_argument("--duration", type=float, default=3.0)
    parser.add_argument("--warmup", type=float, default=1.0)
    wanted = parser.parse_args()
    flood = Flood(wanted.url, wanted.subscribers, wanted.window, wanted.size)
    flood.turn(wanted.warmup)
    began, own, server, delivered = _now(wanted.pid, flood)
    flood.turn(wanted.duration)
    ended, own_after, server_after, delivered_after = _now(wanted.pid, flood)
    count, seconds = delivered_after - delivered, ended - began
    report: dict[str, Any] = {
        "plan": {"mode": "flood"},
        "deliveries": count,
        "load": {"busy": (own_after - own) / seconds},
        "server": {
            "busy": (server_after - server) / seconds,
            "cpu_us_per_delivery": (server_after - server) * 1e6 / count,
        },
        "problems": [],
        "notes": [],
    }
    print(json.dumps(report))


def _now(pid: int, flood: Flood) -> tuple[float, float, float, int]:
    return time.perf_counter(), time.process_time(), cpu_seconds(pid), flood.delivered


if __name__ == "__main__":
    main()
