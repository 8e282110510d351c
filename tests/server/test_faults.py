"""Faults on our own side: an exception while one client is served, and a system that is out of files."""

from __future__ import annotations

import errno
import os
import resource
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing
from helpers.faulty_stream import FaultyListener
from helpers.memory_listener import LockstepListener
from helpers.raw_peer import TEXT, Peer, close, connected, frame, joined, request
from helpers.server import Serving, serving
from helpers.server_process import running


@asynccontextmanager
async def faulty_server() -> AsyncIterator[tuple[Serving, FaultyListener]]:
    """A server on a listener whose streams can be made to fail; only such a fault may be logged."""
    (listening,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    listener = FaultyListener(listening)
    async with serving(listeners=[listener]) as server:
        yield server, listener
        await server.server.shutdown()
        (fault,) = server.tracebacks
        assert "RuntimeError: a bug in" in fault["traceback"] and fault["level"] == "error"


async def talk(one: Peer, other: Peer) -> None:
    """Send a message each way."""
    for sender, reader in ((one, other), (other, one)):
        await sender.send(frame(TEXT, b"still there?"))
        assert await reader.read_frame() == (TEXT, b"still there?")


async def test_a_bug_while_a_client_is_read_ends_that_client_with_1011() -> None:
    async with faulty_server() as (server, listener):
        async with joined(listener.url) as victim, joined(listener.url) as one, joined(listener.url) as two:
            listener.streams[0].read_fault = True
            await victim.send(frame(TEXT, b"lost"))
            assert await victim.read_close() == 1011
            await talk(one, two)
            listener.streams[0].read_fault = False
            await victim.send(close(1011))
            await server.event("disconnected", why="bug", code=1011)
            await talk(one, two)


async def test_a_bug_while_a_client_is_sent_to_ends_that_client_only() -> None:
    async with faulty_server() as (server, listener):
        async with joined(listener.url) as victim, joined(listener.url) as one, joined(listener.url) as two:
            listener.streams[0].send_fault = True
            await talk(one, two)
            await server.event("message", level="error")
            victim.vanish(reset=False)
            await server.event("disconnected", why="bug")
            await talk(one, two)


@pytest.mark.parametrize("fault", ["read_fault", "send_fault"])
async def test_a_bug_in_a_handshake_ends_that_connection_only(fault: str) -> None:
    async with faulty_server() as (_, listener):
        async with (
            joined(listener.url) as one,
            joined(listener.url) as two,
            connected(listener.url) as victim,
        ):
            await listener.accepted(3)
            setattr(listener.streams[2], fault, True)
            await victim.send(request())
            await victim.wait_gone()
            await talk(one, two)


class ExhaustedListener(LockstepListener):
    """A listener that cannot accept anything for the first hundred tries: no file is left for it."""

    tries = 0

    async def accept(self) -> trio.abc.Stream:
        """Accept, or say that there are too many open files."""
        self.tries += 1
        if self.tries <= 100:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return await super().accept()


class HalfExhaustedListener(LockstepListener):
    """A listener that has a file for a connection only now and then."""

    tries = 0

    async def accept(self) -> trio.abc.Stream:
        """Accept, or say that there are too many open files."""
        self.tries += 1
        if self.tries % 2:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return await super().accept()


async def test_files_that_come_and_go_are_logged_once_too(autojump_clock: trio.testing.MockClock) -> None:
    listener = HalfExhaustedListener()
    async with serving(listeners=[listener]) as server:
        for _ in range(20):
            stream = await listener.open()
            await stream.send_all(request())
            assert (await stream.receive_some()).startswith(b"HTTP/1.1 101 ")
        assert len(server.find(level="error")) == 1


async def test_too_many_open_files_are_logged_once_however_long_it_lasts(
    autojump_clock: trio.testing.MockClock,
) -> None:
    listener = ExhaustedListener()
    async with serving(listeners=[listener]) as server:
        stream = await listener.open()
        await stream.send_all(request())
        assert (await stream.receive_some()).startswith(b"HTTP/1.1 101 ")
        (line,) = server.find(level="error")
        assert "too many open files" in line["text"] and "ulimit -n" in line["text"]
        assert not server.tracebacks


@pytest.mark.skipif(sys.platform != "linux", reason="needs prlimit() and /proc")
async def test_a_server_out_of_files_serves_who_is_there_and_recovers() -> None:
    async with running() as server:
        async with joined(server.url) as one, joined(server.url) as two:
            open_files = len(os.listdir(f"/proc/{server.process.pid}/fd"))
            resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (open_files + 2, open_files + 2))
            async with connected(server.url), connected(server.url), connected(server.url):
                line = await server.event("message", level="error")
                assert "too many open files" in line["text"]
                await talk(one, two)
            async with joined(server.url) as three, joined(server.url) as four:
                await one.send(frame(TEXT, b"welcome"))
                for each in (two, three, four):
                    assert await each.read_frame() == (TEXT, b"welcome")
