"""The end of a server: graceful at the first signal, at once at the second, without a trace if cancelled."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from shutil import which
from urllib.parse import urlsplit

import pytest
import trio
from helpers.http_client import fetch
from helpers.raw_peer import BINARY, PING, PONG, TEXT, Peer, close, connected, frame, joined
from helpers.server import serving
from helpers.server_process import Running, environment, running

from trioecho import Server, serve
from trioecho.settings import WhenSlow

MIB = 2**20

SLACK = 5.0
"""How much longer than it must something may take on a busy machine (seconds)."""

SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


async def read_messages_and_close(peer: Peer) -> tuple[list[bytes], int]:
    """Read and answer everything up to the end; return the messages and the close code."""
    messages = []
    while (read := await peer.read_frame())[0] != 0x8:
        messages.append(read[1])
    await peer.send(close(1001))
    assert await peer.read_to_end() == b""
    return messages, int.from_bytes(read[1][:2], "big")


async def ended(server: Running) -> tuple[int, float]:
    """Wait for the process to end; return its exit code and how long its shutdown took (seconds)."""
    began = trio.current_time()
    code = await server.exit_code()
    return code, trio.current_time() - began


@pytest.mark.parametrize("number", SIGNALS)
async def test_the_first_signal_closes_everybody_with_1001_and_exits_with_0(number: signal.Signals) -> None:
    async with running() as server, AsyncExitStack() as clients:
        peers = [await clients.enter_async_context(joined(server.url)) for _ in range(5)]
        server.signal(number)
        for peer in peers:
            assert await read_messages_and_close(peer) == ([], 1001)
        code, took = await ended(server)
        assert code == 0 and took < SLACK
        stopped = await server.event("stopped")
        assert (stopped["closed"], stopped["aborted"]) == (5, 0)
        assert len(server.find("disconnected", why="shutdown", code=1001)) == 5


@pytest.mark.skipif(which("setsid") is None, reason="no setsid to give a process a terminal of its own")
async def test_a_closed_terminal_shuts_down_though_nothing_can_be_logged_any_more() -> None:
    """The kernel sends SIGHUP, and whatever is written to the terminal then fails."""
    with trio.fail_after(30):
        master, terminal = os.openpty()
        command = [sys.executable, "-m", "trioecho", "serve", "--port", "0"]
        process = await trio.lowlevel.open_process(
            ["setsid", "--ctty", *command],
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            env=environment(),
        )
        os.close(terminal)
        line = await trio.to_thread.run_sync(os.read, master, 1000)
        url = line.decode().partition("url=")[2].partition(" ")[0]
        async with joined(url) as peer:
            os.close(master)
            assert await read_messages_and_close(peer) == ([], 1001)
        assert await process.wait() == 0


async def test_a_server_under_nohup_outlives_its_terminal() -> None:
    with trio.fail_after(30):
        command = [sys.executable, "-m", "trioecho", "serve", "--port", "0"]
        process = await trio.lowlevel.open_process(
            ["sh", "-c", 'trap "" HUP; exec "$@"', "sh", *command], stderr=subprocess.PIPE, env=environment()
        )
        assert process.stderr is not None
        line = await process.stderr.receive_some()
        url = bytes(line).decode().partition("url=")[2].partition(" ")[0]
        async with joined(url) as peer:
            process.send_signal(signal.SIGHUP)
            await peer.send(frame(PING))
            assert await peer.read_frame() == (PONG, b"")
            process.send_signal(signal.SIGTERM)
            assert await read_messages_and_close(peer) == ([], 1001)
        assert await process.wait() == 0


async def test_the_signal_may_come_before_there_is_any_client() -> None:
    async with running() as server:
        server.signal(signal.SIGINT)
        assert (await ended(server))[0] == 0


async def test_a_shutdown_delivers_what_a_stuck_client_held_up() -> None:
    options = (
        "--shutdown-timeout",
        "1.6",
        "--stall-limit",
        "60",
        "--stall-share",
        "1",
        "--max-pending-bytes",
        "1MiB",
    )
    async with (
        running(*options) as server,
        joined(server.url, stuck=True) as stuck,
        joined(server.url) as sender,
        joined(server.url) as reader,
        trio.open_nursery() as nursery,
    ):
        taken = 0
        with trio.move_on_after(1):  # until the stuck client holds the room, and the room its publisher
            for number in range(24):
                await sender.send(frame(BINARY, bytes([number]) * MIB) + frame(PING))
                assert await sender.read_frame() == (PONG, b"")  # so the server has taken it
                taken += 1
        assert 2 < taken < 24
        server.signal(signal.SIGTERM)
        nursery.start_soon(read_messages_and_close, sender)
        messages, code = await read_messages_and_close(reader)
        assert len(messages) >= taken
        assert messages == [bytes([number]) * MIB for number in range(len(messages))]
        assert code == 1001
        code, took = await ended(server)
        assert code == 0 and took < 1.6 + SLACK
        assert server.find("disconnected", address=stuck.address, why="slow")
        await stuck.wait_gone()


@pytest.mark.parametrize("number", SIGNALS)
async def test_the_second_signal_ends_at_once(number: signal.Signals) -> None:
    async with running("--shutdown-timeout", "60") as server, joined(server.url) as peer:
        server.signal(signal.SIGTERM)
        assert await peer.read_close() == 1001
        server.signal(number)
        code, took = await ended(server)
        assert code == 128 + number and took < SLACK
        await peer.wait_gone()
        assert server.find(level="warning")


async def test_a_shutdown_delivers_what_was_taken_to_a_client_that_is_behind() -> None:
    async with serving(max_pending_bytes=64 * MIB) as server, joined(server.url) as sender:
        async with joined(server.url) as quick, joined(server.url) as late, trio.open_nursery() as nursery:
            for number in range(12):
                await sender.send(frame(BINARY, bytes([number]) * MIB))
                assert await quick.read_frame() == (BINARY, bytes([number]) * MIB)
            nursery.start_soon(server.server.shutdown)
            for peer in (sender, quick):
                assert await read_messages_and_close(peer) == ([], 1001)
            messages, code = await read_messages_and_close(late)
            assert messages == [bytes([number]) * MIB for number in range(12)]
            assert code == 1001


async def test_a_shutdown_accepts_nobody_else() -> None:
    async with serving() as server, joined(server.url) as peer, connected(server.url) as undecided:
        await undecided.send(b"GET / HTTP/1.1\r\n")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.server.shutdown)
            assert await peer.read_close() == 1001
            status, _, _ = await undecided.read_response()
            assert status == 503
            with pytest.raises(OSError, match="all attempts to connect"):
                await trio.open_tcp_stream("127.0.0.1", urlsplit(server.url).port or 0)
            await peer.send(close(1001))
            undecided.vanish(reset=False)


async def test_messages_after_a_shutdown_has_begun_harm_nothing() -> None:
    async with serving() as server, joined(server.url) as peer, joined(server.url) as reader:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.server.shutdown)
            assert await peer.read_close() == 1001
            await peer.send(frame(TEXT, b"x" * 1000) * 1000)
            assert await read_messages_and_close(reader) == ([], 1001)
            await peer.send(close(1001))
            assert await peer.read_to_end() == b""
        assert not server.tracebacks


@pytest.mark.parametrize("policy", ["drop-oldest", "drop-newest"])
async def test_a_client_that_does_not_read_is_cut_in_time(policy: WhenSlow) -> None:
    async with (
        serving(when_slow=policy, shutdown_timeout=0.5) as server,
        joined(server.url, stuck=True) as stuck,
        joined(server.url) as sender,
        joined(server.url) as reader,
    ):
        for _ in range(12):
            await sender.send(frame(BINARY, bytes(MIB)))
            assert await reader.read_frame() == (BINARY, bytes(MIB))
        async with trio.open_nursery() as nursery:
            began = trio.current_time()
            nursery.start_soon(server.server.shutdown)
            for peer in (sender, reader):
                assert await read_messages_and_close(peer) == ([], 1001)
        assert trio.current_time() - began < 0.5 + SLACK
        assert server.find("disconnected", address=stuck.address, why="aborted")
        assert server.find("stopped", closed=2, aborted=1)
        await stuck.wait_gone()


async def test_a_client_that_reads_but_does_not_answer_is_cut_in_time() -> None:
    async with serving(shutdown_timeout=0.3) as server, joined(server.url) as peer:
        began = trio.current_time()
        await server.server.shutdown()
        assert trio.current_time() - began < 0.3 + SLACK
        assert await peer.read_close() == 1001
        await peer.wait_gone()
        assert server.find("stopped", closed=0, aborted=1)


async def test_a_shutdown_from_code_waits_until_all_is_over() -> None:
    async with serving() as server, joined(server.url) as peer, trio.open_nursery() as nursery:
        nursery.start_soon(read_messages_and_close, peer)
        await server.server.shutdown()
        assert server.find("stopped")
        assert len(server.find("disconnected", why="shutdown")) == 1
        await server.server.shutdown()  # once more only waits


async def test_cancelling_serve_is_immediate_and_leaves_nothing_behind() -> None:
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    url = f"ws://127.0.0.1:{listener.socket.getsockname()[1]}/"
    before = trio.lowlevel.current_statistics()
    async with AsyncExitStack() as clients:
        async with trio.open_nursery() as nursery:
            server: Server = await nursery.start(partial(serve, listeners=[listener]))
            peers = [
                await clients.enter_async_context(joined(url, b"/%d" % (number % 3), stuck=number < 4))
                for number in range(12)
            ]
            undecided = await clients.enter_async_context(connected(url))
            await undecided.send(b"GET / HT")
            for _ in range(6):
                await peers[6].send(frame(BINARY, bytes(MIB)))
            began = trio.current_time()
            nursery.cancel_scope.cancel()
        assert trio.current_time() - began < 0.5
        after = trio.lowlevel.current_statistics()
        assert after.tasks_living == before.tasks_living
        assert server.hub.rooms == {}
        assert listener.socket.fileno() == -1
        for peer in (*peers, undecided):
            await peer.wait_gone()
        assert server.counters.disconnected["cancelled"] == 12
        with trio.fail_after(1):
            await server.shutdown()
    with socket.socket() as free:
        free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        free.bind(("127.0.0.1", urlsplit(url).port or 0))


async def test_sighup_reads_the_token_file_again_and_keeps_the_old_when_it_is_wrong(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    file.write_text("ada first-token-long-enough\n")

    async def status(token: str) -> int:
        headers = {"Accept": "application/json", "Authorization": f"Bearer {token}"}
        return (await fetch(server.url, headers=headers)).status

    async with running("--token-file", str(file)) as server:
        assert await status("first-token-long-enough") == 200
        file.write_text("ada second-token-long-enough\n")
        server.signal(signal.SIGHUP)
        await server.event("reloaded")
        assert await status("first-token-long-enough") == 401
        assert await status("second-token-long-enough") == 200
        file.write_text("nonsense\n")
        server.signal(signal.SIGHUP)
        assert "--token-file" in (await server.event("not-reloaded"))["why"]
        assert await status("second-token-long-enough") == 200
        assert "token-long-enough" not in "\n".join(server.lines)
