"""A service of systemd: sockets that are handed over, notifications, and a Unix socket of its own."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import trio
import trustme
from helpers.raw_peer import joined
from helpers.server_process import environment, running

HANDED_OVER = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ["LISTEN_PID"], os.environ["LISTEN_FDS"] = str(os.getpid()), "1"
os.execv(sys.executable, [sys.executable, "-m", "trioecho", "serve", *sys.argv[2:]])
"""
"""What systemd does before it starts a service: the socket becomes descriptor 3."""


@asynccontextmanager
async def service(handed: socket.socket, *options: str, **variables: str) -> AsyncIterator[trio.Process]:
    """A server that was handed a socket; it must end by itself."""
    number = handed.fileno()
    with trio.fail_after(30):
        process = await trio.lowlevel.open_process(
            [sys.executable, "-c", HANDED_OVER, str(number), *options],
            pass_fds=[number],
            stderr=subprocess.DEVNULL,
            env=environment(**variables),
        )
        try:
            yield process
            process.send_signal(signal.SIGTERM)
            assert await process.wait() == 0
        finally:
            if process.returncode is None:
                process.kill()
                with trio.CancelScope(shield=True):
                    await process.wait()


async def test_systemd_hands_over_a_socket_and_is_told_of_every_step(tmp_path: Path) -> None:
    trustme.CA().issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(tmp_path / "c.pem")
    with socket.create_server(("127.0.0.1", 0)) as handed:
        told = trio.socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        await told.bind(str(tmp_path / "notify"))
        variables = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "400000"}
        async with service(handed, "--tls-cert", str(tmp_path / "c.pem"), **variables) as process:
            assert await told.recv(1000) == b"READY=1"
            assert [await told.recv(1000) for _ in range(3)] == [b"WATCHDOG=1"] * 3
            process.send_signal(signal.SIGHUP)
            while (state := await told.recv(1000)) == b"WATCHDOG=1":
                pass
            assert state.startswith(b"RELOADING=1\nMONOTONIC_USEC=")
            assert await told.recv(1000) == b"READY=1"
            process.send_signal(signal.SIGTERM)
            while (state := await told.recv(1000)) == b"WATCHDOG=1":
                pass
            assert state == b"STOPPING=1"
            assert await process.wait() == 0
        told.close()


async def test_a_socket_that_was_handed_over_is_served() -> None:
    with socket.create_server(("127.0.0.1", 0)) as handed:
        async with service(handed):
            async with joined(f"ws://127.0.0.1:{handed.getsockname()[1]}/"):
                pass


async def test_a_unix_socket_is_served_to_our_own_client_and_removed(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    options = ("--port", "7890", "--unix", str(path), "--unix-mode", "600")
    async with running(*options) as server:
        assert server.url.startswith("ws+unix:")
        assert path.stat().st_mode & 0o777 == 0o600
        client = await trio.lowlevel.open_process(
            [sys.executable, "-m", "trioecho", "client", server.url],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=environment(),
        )
        assert client.stdin is not None
        connected = await server.event("connected")
        assert connected["address"] == "unix"
        await client.stdin.send_all(b"hello\n")
        await client.stdin.aclose()
        await client.wait()
        assert (await server.event("disconnected"))["received"] == 1
    assert not path.exists()
