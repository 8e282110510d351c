"""Closing takes no longer than it may, whatever the server does meanwhile, and keeps no core busy."""

from __future__ import annotations

import resource
import signal
import subprocess
import time

import pytest
import trio
import trio.testing
from helpers.other_servers import ENVIRONMENT, RawServer, command, frame, raw_server, shake_hands

from trioecho.client import ConnectionLost, open_client
from trioecho.client.close_timer import CloseTimer, time_to_close

CHATTER = {
    "pings": frame(9, b"?"),
    "empty messages": frame(1) * 1000,
    "empty fragments": frame(1, final=False) + frame(0, final=False) * 1000 + frame(0),
    "messages": frame(2, b"x" * 10_000),
    "a frame in small pieces": b"\x82\x7f" + (2**19).to_bytes(8, "big"),
}


@pytest.mark.parametrize("chatter", CHATTER)
async def test_a_server_that_goes_on_sending_does_not_postpone_the_end(chatter: str) -> None:
    """It sends often enough that no single wait for it takes long."""

    async def chat(stream: trio.SocketStream, server: RawServer) -> None:
        await shake_hands(stream)
        try:
            while True:
                await stream.send_all(CHATTER[chatter])
                await trio.sleep(0.01)
        except trio.BrokenResourceError:
            server.hung_up.set()

    async with raw_server(chat) as server:
        started = trio.current_time()
        with pytest.raises(ConnectionLost, match="did not answer our close frame in time"):
            async with open_client(server.url, close_timeout=0.3):
                pass
        assert trio.current_time() - started < 2
        with trio.fail_after(2):
            await server.hung_up.wait()


async def test_a_server_that_takes_one_byte_after_another_does_not_either() -> None:
    """What is pending has little effect on the deadline, however slowly it is taken."""

    async def dribble(stream: trio.SocketStream, server: RawServer) -> None:
        await shake_hands(stream)
        taken = b"?"
        while taken:
            await trio.sleep(0.01)
            taken = await stream.receive_some(1)

    async with raw_server(dribble) as server:
        started = trio.current_time()
        with pytest.raises(ConnectionLost):
            async with open_client(server.url, close_timeout=0.3) as client:
                await client.send(b"x" * 60_000)
        assert trio.current_time() - started < 2


async def test_time_in_which_the_program_takes_nothing_does_not_count(
    autojump_clock: trio.testing.MockClock,
) -> None:
    timer = CloseTimer()
    with timer.scope as scope:
        timer.limit(10)
        await trio.sleep(4)
        with timer.paused():
            await trio.sleep(100)
            timer.limit(50)
        await trio.sleep(5)
        assert scope.deadline == trio.current_time() + 1
        with timer.paused():
            timer.limit(0.5)
            await trio.sleep(100)
        await trio.sleep(1)
    assert scope.cancelled_caught


def test_only_much_that_is_still_to_be_sent_takes_longer() -> None:
    assert time_to_close(10, 128 * 1024) == 10
    assert time_to_close(10, 128 * 1024 + 640 * 1024) == 20


async def test_listen_rests_while_a_flooding_server_lets_it_wait() -> None:
    async def flood(stream: trio.SocketStream, server: RawServer) -> None:
        await shake_hands(stream)
        await stream.send_all(frame(1, b"come in"))
        try:
            while True:
                await stream.send_all(frame(1) * 30_000)
        except trio.BrokenResourceError:
            server.hung_up.set()

    async with raw_server(flood) as server:
        process = await trio.lowlevel.open_process(
            command("listen", server.url, "--close-timeout=3"),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=ENVIRONMENT,
        )
        assert process.stdout is not None
        assert (await process.stdout.receive_some()).startswith(b"come in\n")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_read_all, process.stdout)
            before = _cpu_seconds(process.pid)
            began = time.monotonic()
            process.send_signal(signal.SIGINT)
            with trio.fail_after(10):
                await process.wait()
            took = time.monotonic() - began
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert took < 6
        assert used.ru_utime + used.ru_stime - before < 0.75 * took + 1
        await server.hung_up.wait()


async def _read_all(stream: trio.abc.ReceiveStream) -> None:
    while await stream.receive_some():
        pass


def _cpu_seconds(pid: int) -> float:
    """CPU seconds of a child so far, and of the children before it."""
    with open(f"/proc/{pid}/stat") as stat:
        user, system = stat.read().rpartition(")")[2].split()[11:13]
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (int(user) + int(system)) / 100 + used.ru_utime + used.ru_stime
