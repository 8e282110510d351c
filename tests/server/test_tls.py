"""TLS of our own: real clients with real certificates, and certificates that change while it runs."""

from __future__ import annotations

import signal
import ssl
from pathlib import Path

import pytest
import trio
import trustme
from helpers.server import serving
from helpers.server_process import running
from websockets.exceptions import WebSocketException
from websockets.sync.client import connect

LIMIT = 2**20


def write(issued: trustme.LeafCert, path: Path) -> str:
    """Write a key and its certificate to one file."""
    path.write_bytes(b"")
    issued.private_key_and_cert_chain_pem.write_to_path(path)
    return str(path)


def trusting(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


def exchange(url: str, context: ssl.SSLContext, size: int) -> bytes:
    """Two clients in a room: what one sends, the other gets; with the websockets library."""
    with (
        connect(url, ssl=context, max_size=2 * LIMIT) as one,
        connect(url, ssl=context, max_size=2 * LIMIT) as other,
    ):
        one.send(b"x" * size)
        got = other.recv(timeout=10)
        assert isinstance(got, bytes)
        return got


async def certificate_at(url: str, context: ssl.SSLContext) -> int:
    """Return the serial number of the certificate shown there."""
    host, port = url.removeprefix("wss://").rstrip("/").split(":")
    stream = trio.SSLStream(await trio.open_tcp_stream(host, int(port)), context, server_hostname=host)
    await stream.do_handshake()
    shown = stream.getpeercert()
    await trio.aclose_forcefully(stream)
    return int(shown["serialNumber"], 16)


@pytest.mark.parametrize("size", [1, 200, 16_384, 70_000, LIMIT])
async def test_a_real_client_gets_messages_of_every_size(size: int, tmp_path: Path) -> None:
    authority = trustme.CA()
    cert = write(authority.issue_cert("127.0.0.1"), tmp_path / "cert.pem")
    async with serving(tls_cert=cert) as server:
        assert server.url.startswith("wss://127.0.0.1:")
        got = await trio.to_thread.run_sync(exchange, server.url, trusting(authority), size)
        assert got == b"x" * size
        listening = await server.event("listening")
        assert listening["page"].startswith("https://")
        assert not server.tracebacks


async def test_a_client_without_the_certificate_that_is_required_is_refused_and_named(tmp_path: Path) -> None:
    authority = trustme.CA()
    cert = write(authority.issue_cert("127.0.0.1"), tmp_path / "cert.pem")
    ca = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(ca)
    async with serving(tls_cert=cert, tls_client_ca=str(ca)) as server:
        context = trusting(authority)
        with pytest.raises((OSError, EOFError, WebSocketException)):  # TLS 1.3 says so after the handshake
            await trio.to_thread.run_sync(exchange, server.url, context, 1)
        refused = await server.event("refused", why="tls")
        assert refused["reason"] == "the peer sent no certificate, and one is required"
        authority.issue_cert("alice@example.org", common_name="alice").configure_cert(context)
        assert await trio.to_thread.run_sync(exchange, server.url, context, 1) == b"x"
        assert not server.tracebacks


async def test_plain_http_and_silence_on_a_tls_port_are_refused_with_the_reason(tmp_path: Path) -> None:
    cert = write(trustme.CA().issue_cert("127.0.0.1"), tmp_path / "cert.pem")
    async with serving(tls_cert=cert, handshake_timeout=0.2) as server:
        port = int(server.url.rpartition(":")[2].rstrip("/"))
        plain = await trio.open_tcp_stream("127.0.0.1", port)
        await plain.send_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        refused = await server.event("refused", why="tls")
        assert refused["reason"] == "the peer speaks plain HTTP, not TLS"
        silent = await trio.open_tcp_stream("127.0.0.1", port)
        await server.event("refused", status=408)
        with trio.fail_after(2):
            assert await silent.receive_some() == b""
        await plain.aclose()
        await silent.aclose()


async def test_sighup_changes_the_certificate_and_nobody_is_dropped(tmp_path: Path) -> None:
    authority = trustme.CA()
    path = tmp_path / "cert.pem"
    first, second = authority.issue_cert("127.0.0.1"), authority.issue_cert("127.0.0.1")
    write(first, path)
    context = trusting(authority)
    async with running("--tls-cert", str(path)) as server:
        with connect(server.url, ssl=context) as client:
            before = await certificate_at(server.url, context)
            path.write_text("nonsense")
            server.signal(signal.SIGHUP)
            kept = await server.event("message", level="error")
            assert "the certificate in use is kept" in kept["text"]
            assert await certificate_at(server.url, context) == before
            write(second, path)
            server.signal(signal.SIGHUP)
            while await certificate_at(server.url, context) == before:  # noqa: ASYNC110 - it shows only there
                await trio.sleep(0.01)
            assert [entry for entry in server.find("message") if "read again" in entry["text"]]
            await trio.to_thread.run_sync(client.ping)
            client.send("still here")
            assert not server.find("disconnected")


async def test_files_that_change_are_used_without_a_signal(tmp_path: Path) -> None:
    authority = trustme.CA()
    path = tmp_path / "cert.pem"
    cert = write(authority.issue_cert("127.0.0.1"), path)
    context = trusting(authority)
    async with serving(tls_cert=cert) as server:
        before = await certificate_at(server.url, context)
        write(authority.issue_cert("127.0.0.1"), path)
        while await certificate_at(server.url, context) == before:  # noqa: ASYNC110 - within a second
            await trio.sleep(0.1)
        assert [entry for entry in server.find("message") if "read again" in entry["text"]]
