"""A client that takes nothing any more leaves nothing in the kernel; an ordinary end is never a reset."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
import trio
from helpers.raw_peer import CLOSE, TEXT, Peer, close, frame, joined
from helpers.server import Serving, serving

import trioecho
from trioecho.settings import WhenSlow
from trioecho.transport import closing

MIB = 2**20

FIN_WAIT_1 = "04"
"""How /proc/net/tcp names the state of a socket that is closed, and still has something for its peer."""

LINUX = Path("/proc/net/tcp").exists()


def kernel_sockets(server: Serving, address: str) -> list[str]:
    """Return the states of the server's sockets that the kernel keeps for a client's ``address`` (Linux)."""
    ports = [int(each.strip("/").rpartition(":")[2]) for each in (server.url, address)]
    found = []
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        *ends, state = line.split()[1:4]
        if [int(end.rpartition(":")[2], 16) for end in ends] == ports:
            found.append(state)
    return found


async def fill(server: Serving) -> None:
    """Publish more than any socket holds."""
    for _ in range(40):
        await server.server.hub.publish("/", b"x" * MIB)


@pytest.mark.skipif(not LINUX, reason="/proc/net/tcp is Linux's")
@pytest.mark.parametrize("when_slow", ["wait", "disconnect"])
async def test_a_slow_client_that_was_disconnected_leaves_no_socket_behind(when_slow: WhenSlow) -> None:
    async with serving(when_slow=when_slow, stall_limit=0.1) as server:
        async with joined(server.url, stuck=True) as stuck:
            address = stuck.address
            await fill(server)
            entry = await server.event("disconnected", address=address)
            assert entry["why"] in ("slow", "full")
            # Its own end is open still: what is counted is the server's.
            with trio.fail_after(5):
                while kernel_sockets(server, address):  # noqa: ASYNC110 - the kernel tells nobody
                    await trio.sleep(0.02)


@pytest.mark.skipif(not LINUX, reason="/proc/net/tcp is Linux's")
async def test_a_client_that_ignores_the_shutdown_leaves_no_socket_behind() -> None:
    async with serving(when_slow="wait", shutdown_timeout=0.5) as server:
        async with joined(server.url, stuck=True) as stuck:
            await server.server.hub.publish("/", b"x" * MIB)
            for _ in range(6):
                with trio.move_on_after(0.2):
                    await server.server.hub.publish("/", b"x" * MIB)
            await server.server.shutdown()
            with trio.fail_after(5):
                while kernel_sockets(server, stuck.address):  # noqa: ASYNC110 - the kernel tells nobody
                    await trio.sleep(0.02)


async def test_an_ordinary_end_is_never_a_reset() -> None:
    """Whoever closes first, both read to an orderly end of the stream: a reset would be an error here."""
    async with serving() as server:
        async with joined(server.url) as one, joined(server.url) as other:
            await one.send(frame(TEXT, b"x" * 100_000) + close())
            assert await one.read_close() == 1000
            assert await one.read_to_end() == b""
            assert (await other.read_frame())[0] == TEXT
            async with trio.open_nursery() as nursery:
                nursery.start_soon(server.server.shutdown)
                opcode, payload = await other.read_frame()
                assert (opcode, payload[:2]) == (CLOSE, b"\x03\xe9")
                await other.send(close(1001))
                assert await other.read_to_end() == b""


@pytest.mark.skipif(not LINUX, reason="/proc/net/tcp is Linux's")
async def test_a_client_that_must_go_for_its_memory_leaves_no_socket_behind() -> None:
    async with serving(max_memory=8 * MIB, max_pending_bytes=40 * MIB) as server:
        async with joined(server.url, stuck=True) as stuck:
            await fill(server)
            await server.event("disconnected", why="over-memory", address=stuck.address)
            with trio.fail_after(1):
                while kernel_sockets(server, stuck.address):  # noqa: ASYNC110 - the kernel tells nobody
                    await trio.sleep(0.02)


@pytest.mark.skipif(not LINUX, reason="/proc/net/tcp is Linux's")
async def test_a_response_that_is_not_read_leaves_no_socket_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(closing, "UNREAD_TIMEOUT", 1.0)

    async def much(_: trioecho.Request) -> trioecho.Response:
        return trioecho.Response(200, bytes(14_000))

    stuck = trio.socket.socket()
    # So early that it counts: less than the response fits, and the server's kernel takes the rest.
    stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    async with serving(http_handlers={"/much": much}) as server:
        host, _, port = server.url.removeprefix("ws://").strip("/").rpartition(":")
        await stuck.connect((host, int(port)))
        async with trio.SocketStream(stuck) as stream:
            await stream.send_all(b"GET /much HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            address = Peer(stream).address
            with trio.fail_after(10):
                while kernel_sockets(server, address) != [FIN_WAIT_1]:  # noqa: ASYNC110
                    await trio.sleep(0.02)
                # The kernel looks only now and then.
                while kernel_sockets(server, address):  # noqa: ASYNC110 - the kernel tells nobody
                    await trio.sleep(0.02)
