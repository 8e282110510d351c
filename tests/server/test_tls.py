"""TLS of our own: real clients with real certificates, and certificates that change while it runs."""

from __future__ import annotations

import json
import signal
import ssl
from pathlib import Path

import pytest
import trio
import trustme
from helpers.heads import Heads
from helpers.raw_peer import request
from helpers.server import serving
from helpers.server_process import running
from websockets.exceptions import WebSocketException
from websockets.trio.client import connect
from websockets.typing import Subprotocol

from trioecho.transport.unix_listener import open_unix_listener

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


async def exchange(url: str, context: ssl.SSLContext, size: int) -> bytes:
    """
    Two clients in a room: what one sends, the other gets; with the websockets library.

    Its clients for threads are no use over TLS: Python's ssl module does not hold up to one thread that reads
    while another writes.
    """
    async with (
        connect(url, ssl=context, max_size=2 * LIMIT) as one,
        connect(url, ssl=context, max_size=2 * LIMIT) as other,
    ):
        await one.send(b"x" * size)
        got = await other.recv()
        assert isinstance(got, bytes)
        return got


async def test_a_speaker_of_v1_comes_back_to_its_place_and_is_told_who_is_there(tmp_path: Path) -> None:
    """Over TLS everything waits in an outbox until its writer runs, so heads and messages go another way."""
    authority = trustme.CA()
    cert = write(authority.issue_cert("127.0.0.1"), tmp_path / "cert.pem")
    context, v1 = trusting(authority), [Subprotocol("trioecho.v1")]
    async with serving(tls_cert=cert) as server:
        told: list[dict[str, object]] = []
        hub, client = server.server.hub, Heads()
        async with connect(f"{server.url}room?presence=1", ssl=context, subprotocols=v1) as socket:
            for number in range(1, 51):
                await hub.publish("/room", str(number))
            while client.offset < 50 or not told:
                message = await socket.recv()
                if isinstance(message, str) and "presence" in message:
                    told.append(json.loads(message)["presence"])
                else:
                    client.take(message)
        assert told == [{"named": 0, "unnamed": 1, "here": []}]
        for number in range(51, 101):
            await hub.publish("/room", f"{number} ".ljust(3_000, "x"))  # more than a record, together
        client.connected()
        async with connect(f"{server.url}room?after={client.place}", ssl=context, subprotocols=v1) as socket:
            while client.offset < 100:
                client.take(await socket.recv())
        assert [int(str(text).split()[0]) for text in client.heard] == list(range(1, 101))
        assert client.numbers == list(range(1, 101)) and not client.missed and not server.tracebacks


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
        got = await exchange(server.url, trusting(authority), size)
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
            await exchange(server.url, context, 1)
        refused = await server.event("refused", why="tls")
        assert refused["reason"] == "the peer sent no certificate, and one is required"
        authority.issue_cert("alice@example.org", common_name="alice").configure_cert(context)
        assert await exchange(server.url, context, 1) == b"x"
        assert (await server.event("connected"))["name"] == "alice"
        assert not server.tracebacks


async def test_a_server_that_asks_for_certificates_is_not_called_open(tmp_path: Path) -> None:
    authority = trustme.CA()
    cert = write(authority.issue_cert("127.0.0.1"), tmp_path / "cert.pem")
    authority.cert_pem.write_to_path(ca := tmp_path / "ca.pem")
    async with running("--host", "0.0.0.0", "--tls-cert", cert, "--tls-client-ca", str(ca)) as server:
        pass
    assert not server.find("message", level="warning")


async def test_over_a_unix_socket_there_is_no_certificate_and_a_token_is_needed(tmp_path: Path) -> None:
    authority = trustme.CA()
    cert = write(authority.issue_cert("127.0.0.1"), tmp_path / "cert.pem")
    authority.cert_pem.write_to_path(ca := tmp_path / "ca.pem")
    listener = open_unix_listener(str(tmp_path / "socket"), mode=0o600)
    options = {"tls_cert": cert, "tls_client_ca": str(ca), "token": {"ada": "9f3c2a7e51d04b68a1c5"}}
    async with serving(listeners=[listener], **options) as server:  # type: ignore[arg-type]
        for headers, status in [(b"", b"401"), (b"Authorization: Bearer 9f3c2a7e51d04b68a1c5\r\n", b"101")]:
            async with await trio.open_unix_socket(tmp_path / "socket") as stream:
                await stream.send_all(request().replace(b"\r\n\r\n", b"\r\n" + headers + b"\r\n"))
                assert (await stream.receive_some()).startswith(b"HTTP/1.1 " + status)
        assert (await server.event("connected"))["name"] == "ada"


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
        async with connect(server.url, ssl=context) as client:
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
            # The log is written by a thread of its own.
            while not [entry for entry in server.find("message") if "read again" in entry["text"]]:  # noqa: ASYNC110
                await trio.sleep(0.01)
            await client.ping()
            await client.send("still here")
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
