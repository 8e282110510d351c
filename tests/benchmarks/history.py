"""
What a room's memory costs, and members who are told their places: ``python tests/benchmarks/history.py``.

Two hundred listeners, with 64 messages in flight and with one: on a server that remembers nothing, on one as
it is by default, and on one where 20 of them speak ``trioecho.v1``. Every measurement has a fresh server on
the machine's first core; the load generator and those who speak are on its last. The three take turns, every
other round in the reverse order. A figure is the server's CPU for a delivery to any of the two hundred, the
median of the rounds; a ratio, to the second, is the median of the rounds' own.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import selectors
import socket
import statistics
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from table import machine

CORES = sorted(os.sched_getaffinity(0))
LISTENERS = 200
WINDOWS = (64, 1)

HANDSHAKE = (
    b"GET /room HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    b"Sec-WebSocket-Protocol: trioecho.v1\r\n\r\n"
)


@dataclass(frozen=True)
class Variant:
    """One of what is compared: the server's options, and how many listeners speak trioecho.v1."""

    name: str
    options: tuple[str, ...] = ()
    speakers: int = 0


DEFAULT = Variant("as it is by default")
VARIANTS = (Variant("`--history 0`", ("--history", "0")), DEFAULT, Variant("10 % speak v1", speakers=20))


class Speakers:
    """Listeners that speak trioecho.v1: they read all that comes, in a thread of their own."""

    def __init__(self, port: int, count: int) -> None:
        self.received = [0] * count
        self._selector = selectors.DefaultSelector()
        for number in range(count):
            speaker = socket.create_connection(("127.0.0.1", port), timeout=20)
            speaker.sendall(HANDSHAKE)
            head = b""
            while b"\r\n\r\n" not in head:
                head += speaker.recv(1)
            assert b"\r\nSec-WebSocket-Protocol: trioecho.v1\r\n" in head, head
            self._selector.register(speaker, selectors.EVENT_READ, number)
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        while self._selector.get_map():
            for key, _ in self._selector.select():
                assert isinstance(key.fileobj, socket.socket)
                size = len(key.fileobj.recv(2**18))
                self.received[key.data] += size
                if not size:
                    self._selector.unregister(key.fileobj)
                    key.fileobj.close()

    def wait(self) -> None:
        """Wait until the server has disconnected them."""
        self._thread.join(20)


@contextmanager
def serving(variant: Variant) -> Iterator[tuple[int, int]]:
    """Run a fresh server; gives its process and its port."""
    command = [sys.executable, "-m", "trioecho", "serve", "--port", "0", *variant.options]
    server = subprocess.Popen(
        command, stderr=subprocess.PIPE, preexec_fn=lambda: os.sched_setaffinity(0, CORES[:1])
    )
    assert server.stderr is not None
    try:
        line = server.stderr.readline().decode()
        yield server.pid, int(line.partition("url=ws://127.0.0.1:")[2].partition("/")[0])
    finally:
        server.terminate()
        server.communicate(timeout=20)


def measured(variant: Variant, window: int, duration: float) -> float:
    """Return the CPU of a delivery (microseconds)."""
    listeners = LISTENERS - variant.speakers
    with ExitStack() as stack:
        pid, port = stack.enter_context(serving(variant))
        speakers = Speakers(port, variant.speakers)
        command = [sys.executable, "-m", "trioecho", "bench", f"ws://127.0.0.1:{port}/room", "--json"]
        command += ["--pid", str(pid), "--subscribers", str(listeners), "--window", str(window)]
        command += ["--duration", f"{duration:g}", "--warmup", "0.5"]
        done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    speakers.wait()
    report = json.loads(done.stdout)
    assert not report["problems"], report["problems"]
    least = report["deliveries"] / listeners * report["bytes_per_delivery"]
    assert all(size > least for size in speakers.received), "who speaks trioecho.v1 did not get everything"
    return float(report["server"]["cpu_us_per_delivery"]) * listeners / LISTENERS


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=7, help="rounds of everything (default 7)")
    parser.add_argument("--duration", type=float, default=3.0, help="seconds a measurement (default 3)")
    wanted = parser.parse_args()
    os.sched_setaffinity(0, CORES[-1:])
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    print(f"| CPU µs a delivery | {' | '.join(each.name for each in VARIANTS)} |")
    print(f"|---|{'---:|' * len(VARIANTS)}")
    for window in WINDOWS:
        rounds: list[dict[Variant, float]] = []
        for number in range(wanted.rounds):
            order = reversed(VARIANTS) if number % 2 else VARIANTS
            rounds.append({each: measured(each, window, wanted.duration) for each in order})
        cells = []
        for each in VARIANTS:
            figure = statistics.median(one[each] for one in rounds)
            ratio = statistics.median(one[each] / one[DEFAULT] for one in rounds)
            cells.append(f"{figure:.3f}" + ("" if each is DEFAULT else f" (ratio {ratio:.2f})"))
        print(f"| {LISTENERS} listeners, {window} in flight | {' | '.join(cells)} |", flush=True)
    facts = machine()
    load = os.getloadavg()[0]
    print(f"\n{facts['date']}, {facts['cpu']}, {facts['cores']} cores, load {load:.1f}, {facts['kernel']}.")


if __name__ == "__main__":
    main()
