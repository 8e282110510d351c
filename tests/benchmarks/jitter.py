"""
What arrives over connections that are lost again and again.

Run it as ``PYTHONPATH=tests python tests/benchmarks/jitter.py``. Some clients listen, each through a relay of
its own that loses its connection for two seconds at a time, while numbered messages are published. That is
done twice: the server notices each loss at once, or five seconds late, as when a phone is in a tunnel. Each
server is used as its manual says, with its own client where it has one; with ours and nchan the client of
event streams is npm's ``eventsource``, which does what browsers do. For each it is counted what arrived, what
arrived twice or out of order, and what the clients were told is missing.

The peers come from npm, nchan from Debian (``libnginx-mod-nchan``; or ``apt-get download`` and ``dpkg -x``
into a folder, which ``--nginx`` then names). One that cannot be had is left out, with the reason.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from itertools import pairwise
from pathlib import Path

import trio
from helpers.browser import free_port
from helpers.markdown import example
from helpers.relay import Relay
from homes import DEFAULT, Homes, NotToBeHad, program
from table import machine

HERE = Path(__file__).parent
MISSED = re.compile(r"missed (\d+|unknown|null)|(\d+) messages? (?:was|were) missed")
ROOM = "/room"

AWAY = 2.0
"""For how long a connection is lost (seconds)."""

LATE = 5.0
"""How late a server notices (seconds): later than the client is back."""

NGINX = """
daemon off; worker_processes 1; pid {folder}/pid; error_log stderr error;
load_module {module};
events {{ worker_connections 256; }}
http {{
  access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{port};
    location = /say {{
      nchan_publisher; nchan_channel_id room; nchan_message_timeout 60s; nchan_message_buffer_length 1000;
    }}
    location = /room {{
      nchan_subscriber eventsource; nchan_channel_id room; nchan_subscriber_first_message newest;
    }}
  }}
}}
"""

EVENTS = "Show what is said in a room, and what is missing, in any browser"
V1 = "Listen to a room, and lose nothing when the connection is lost"
"""Examples of the manual's, which are the clients."""

LOAD = 'import { createRequire } from "node:module"\nconst load = createRequire(import.meta.url)\n'

AS_IN_A_BROWSER = """class WebSocket extends load("ws") {
  constructor(...given) { super(...given); this.on("error", () => {}) }
}
"""
"""A browser's WebSocket raises nothing when its connection is lost."""


@dataclass(frozen=True)
class Subject:
    """A server with a client: how each is started, given a port."""

    name: str
    server: Callable[[Bench, int], list[str]]
    client: Callable[[Bench, int], list[str]]
    say: str = "/"


@dataclass
class Bench:
    """Where things are."""

    homes: Homes
    folder: Path
    nginx: Path | None

    @property
    def environment(self) -> dict[str, str]:
        """The environment of all programs."""
        return {**os.environ, "NODE_PATH": str(self.homes.modules), "PYTHONPATH": str(HERE.parent.parent)}

    def node(self, *packages: str) -> str:
        """Return Node, once it has these packages."""
        self.homes.install_node(*packages)
        return program("node")

    def script(self, title: str, port: int, prelude: str) -> str:
        """Write an example of the manual's to a file, for a client at this port."""
        file = self.folder / f"{port}.mjs"
        address = f"127.0.0.1:{port}{ROOM}"
        file.write_text(LOAD + prelude + example("history", title).replace("127.0.0.1:7890/news", address))
        return str(file)


def trioecho(*options: str) -> Callable[[Bench, int], list[str]]:
    command = [sys.executable, "-m", "trioecho", "serve", "--log-level", "error", *options, "--port"]
    return lambda bench, port: [*command, str(port)]


def events(bench: Bench, port: int) -> list[str]:
    node = bench.node("eventsource")
    return [node, bench.script(EVENTS, port, 'const { EventSource } = load("eventsource")\n')]


def v1(bench: Bench, port: int) -> list[str]:
    node = bench.node("ws")
    return [node, bench.script(V1, port, AS_IN_A_BROWSER)]


def listen(bench: Bench, port: int) -> list[str]:
    command = [sys.executable, "-u", "-m", "trioecho", "listen", "--reconnect", "--reconnect-max-delay", "2"]
    return [*command, f"ws://127.0.0.1:{port}{ROOM}"]


def node_program(file: str, *packages: str) -> Callable[[Bench, int], list[str]]:
    return lambda bench, port: [bench.node(*packages), str(HERE / file), str(port)]


def bun(bench: Bench, port: int) -> list[str]:
    return [str(bench.homes.bun()), str(HERE / "servers" / "bun_posted.mjs"), str(port)]


def nchan(bench: Bench, port: int) -> list[str]:
    root = Path("/") if bench.nginx is None else bench.nginx
    nginx, module = root / "usr/sbin/nginx", root / "usr/lib/nginx/modules/ngx_nchan_module.so"
    if not nginx.exists() or not module.exists():
        raise NotToBeHad("nginx with nchan is not installed")
    config = bench.folder / "nginx.conf"
    config.write_text(NGINX.format(folder=bench.folder, module=module, port=port))
    return [str(nginx), "-p", str(bench.folder), "-c", str(config)]


SUBJECTS = (
    Subject("trioecho, EventSource", trioecho("--history", "1000"), events, ROOM),
    Subject("trioecho, trioecho.v1", trioecho("--history", "1000"), v1, ROOM),
    Subject("trioecho, client library", trioecho("--history", "1000"), listen, ROOM),
    Subject(
        "trioecho, trioecho.v1, history too short",
        trioecho("--history", "20", "--history-bytes", "8KiB"),
        v1,
        ROOM,
    ),
    Subject(
        "Socket.IO, connection state recovery",
        node_program("servers/socketio_recovery.mjs", "socket.io"),
        node_program("listeners/socketio.mjs", "socket.io-client"),
    ),
    Subject("nchan, EventSource", nchan, events, "/say"),
    Subject("Bun, WebSocket", bun, node_program("listeners/websocket.mjs", "ws")),
)


@dataclass
class Heard:
    """What one client printed."""

    numbers: list[int] = field(default_factory=list)
    missed: int = 0
    unknown: int = 0

    def line(self, text: str) -> None:
        """Take notice of a line."""
        if text.isdigit():
            self.numbers.append(int(text))
        elif found := MISSED.fullmatch(text):
            number = found[1] or found[2]
            if number.isdigit():
                self.missed += int(number)
            else:
                self.unknown += 1


async def read_lines(process: trio.Process, heard: Heard) -> None:
    assert process.stdout is not None
    rest = b""
    async for data in process.stdout:
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            heard.line(line.decode().strip())


async def post(port: int, path: str, body: bytes) -> None:
    """Publish, each time by a connection of its own: every server knows that."""
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: text/plain\r\nConnection: close\r\n"
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        await stream.send_all(head.encode() + b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
        answer = b"".join([data async for data in stream])
    assert answer.startswith((b"HTTP/1.1 200", b"HTTP/1.1 201", b"HTTP/1.1 202")), answer[:200]


async def is_listening(port: int) -> None:
    """Wait until a server takes connections."""
    while True:
        try:
            await (await trio.open_tcp_stream("127.0.0.1", port)).aclose()
        except OSError:
            await trio.sleep(0.1)
        else:
            return


async def measure(subject: Subject, bench: Bench, clients: int, cuts: int, late: float) -> Counts:
    """Run one server with its clients, and count."""
    port, hearers = free_port(), [Heard() for _ in range(clients)]
    said = first = 0
    processes: list[trio.Process] = []
    async with trio.open_nursery() as nursery:

        async def start(command: list[str], heard: Heard | None) -> None:
            process = await trio.lowlevel.open_process(
                command,
                stdout=subprocess.DEVNULL if heard is None else subprocess.PIPE,
                stderr=subprocess.DEVNULL if heard is None else subprocess.STDOUT,
                env=bench.environment,
            )
            processes.append(process)
            if heard is not None:
                nursery.start_soon(read_lines, process, heard)

        async def talk() -> None:
            nonlocal said
            while True:
                said += 1
                await post(port, subject.say, b"%d" % said)
                await trio.sleep(0.02)

        async def cut_again_and_again(relay: Relay, number: int) -> None:
            await trio.sleep(3 * number / clients)  # not all at once
            for _ in range(cuts):
                relay.cut()
                await trio.sleep(AWAY)
                relay.mend()
                await trio.sleep(3)

        try:
            await start(subject.server(bench, port), None)
            with trio.fail_after(60):
                await is_listening(port)
            relays = [Relay(port, late=late) for _ in hearers]
            for relay, heard in zip(relays, hearers, strict=True):
                await nursery.start(relay.run)
                await start(subject.client(bench, relay.port), heard)
            async with trio.open_nursery() as talking:
                talking.start_soon(talk)
                with trio.fail_after(60):
                    while not all(heard.numbers for heard in hearers):  # noqa: ASYNC110
                        await trio.sleep(0.1)
                await trio.sleep(1)
                first = said
                async with trio.open_nursery() as cutting:
                    for number, relay in enumerate(relays):
                        cutting.start_soon(cut_again_and_again, relay, number)
                talking.cancel_scope.cancel()
            last = said - 1  # the last one may have been cancelled
            await trio.sleep(5)
        finally:
            with trio.CancelScope(shield=True):
                for process in processes:
                    process.kill()
                    await process.wait()
        nursery.cancel_scope.cancel()
    return counted(hearers, first, last)


@dataclass
class Counts:
    """What became of ``expected`` deliveries."""

    expected: int = 0
    arrived: int = 0
    missed: int = 0
    unknown: int = 0
    doubled: int = 0
    disordered: int = 0

    @property
    def share(self) -> str:
        """How much arrived."""
        return f"{self.arrived / self.expected:.1%}"

    def add(self, other: Counts) -> None:
        """Add up."""
        for each in fields(self):
            setattr(self, each.name, getattr(self, each.name) + getattr(other, each.name))


def counted(hearers: list[Heard], first: int, last: int) -> Counts:
    """Count what arrived of the messages from ``first`` to ``last``."""
    counts = Counts((last - first + 1) * len(hearers))
    for heard in hearers:
        numbers = [number for number in heard.numbers if first <= number <= last]
        counts.arrived += len(set(numbers))
        counts.doubled += len(numbers) - len(set(numbers))
        counts.disordered += sum(after < before for before, after in pairwise(numbers))
        counts.missed += heard.missed
        counts.unknown += heard.unknown
    return counts


def row(name: str, soon: Counts, late: Counts) -> list[str]:
    """Return the fields of a row."""
    both = Counts()
    both.add(soon)
    both.add(late)
    told = f"{both.missed:,}" + (f" and {both.unknown} times unknown" if both.unknown else "")
    lost = both.expected - both.arrived
    return [name, soon.share, late.share, f"{lost:,}", told, f"{both.doubled:,}", f"{both.disordered:,}"]


COLUMNS = [
    "server, client",
    "delivered, loss noticed at once",
    "delivered, noticed late",
    "lost",
    "told missed",
    "doubled",
    "out of order",
]


async def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clients", type=int, default=5, help="clients of each (default 5)")
    parser.add_argument("--cuts", type=int, default=6, help="how often each is cut off (default 6)")
    parser.add_argument("--home", type=Path, default=DEFAULT, help=f"the environments (default {DEFAULT})")
    parser.add_argument("--nginx", type=Path, help="the folder with usr/sbin/nginx, if not the root")
    parser.add_argument("--only", default="", help="only those with this in their name")
    wanted = parser.parse_args()
    print(f"| {' | '.join(COLUMNS)} |\n|---|{'---:|' * (len(COLUMNS) - 1)}", flush=True)
    left_out, expected = [], 0
    for subject in SUBJECTS:
        if wanted.only not in subject.name:
            continue
        with tempfile.TemporaryDirectory() as folder:
            bench = Bench(Homes(wanted.home.expanduser()), Path(folder), wanted.nginx)
            try:
                soon = await measure(subject, bench, wanted.clients, wanted.cuts, 0)
                late = await measure(subject, bench, wanted.clients, wanted.cuts, LATE)
            except NotToBeHad as reason:
                left_out.append(f"Left out: {subject.name}: {reason}.")
            else:
                print(f"| {' | '.join(row(subject.name, soon, late))} |", flush=True)
                expected += soon.expected + late.expected
    facts, load = machine(), os.getloadavg()[0]
    made = f"{facts['date']}, {facts['cpu']}, {facts['cores']} cores"
    print(f"\n{made}, load {load:.0f}; {expected:,} deliveries.")
    print("\n".join(left_out))


if __name__ == "__main__":
    trio.run(main)
