"""Ways to a server: TLS with the right and the wrong authority, proxies, Unix sockets, credentials."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import trio
import trustme
import typer
from helpers.other_servers import RawServer, raw_server, tunnel, websockets_server
from websockets.sync.server import ServerConnection, unix_serve

from trioecho.cli.client.connect_options import Connecting
from trioecho.client import (
    CertificateNotTrusted,
    ConnectFailed,
    NotWebSocket,
    Rejected,
    open_client,
    parse_address,
)
from trioecho.options import OptionError


@dataclass
class Secure:
    """A TLS server that wants client certificates, and the files that belong to it."""

    url: str
    ca: Path
    cert: Path
    other_ca: Path


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secure]:
    folder = tmp_path_factory.mktemp("tls")
    authority, other = trustme.CA(), trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    other.cert_pem.write_to_path(folder / "other.pem")
    authority.issue_cert("me@example.org").private_key_and_cert_chain_pem.write_to_path(folder / "me.pem")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_OPTIONAL

    def who(connection: ServerConnection) -> None:
        assert isinstance(connection.socket, ssl.SSLSocket)
        connection.send("known" if connection.socket.getpeercert() else "unknown")

    with websockets_server(who, ssl=context) as url:
        url = url.replace("ws:", "wss:")
        yield Secure(url, folder / "ca.pem", folder / "me.pem", folder / "other.pem")


async def first(url: str, connecting: Connecting) -> str | bytes:
    async with open_client(url, **connecting.options()) as client:
        return await client.receive()


async def test_the_right_authority_and_a_client_certificate(secure: Secure) -> None:
    assert await first(secure.url, Connecting(cacert=secure.ca)) == "unknown"
    assert await first(secure.url, Connecting(cacert=secure.ca, cert=secure.cert)) == "known"


@pytest.mark.parametrize("trusting", ["the system's", "another"])
async def test_a_wrong_authority(secure: Secure, trusting: str) -> None:
    connecting = Connecting(cacert=secure.other_ca if trusting == "another" else None)
    with pytest.raises(CertificateNotTrusted, match=r"the certificate of 127\.0\.0\.1 is not trusted: "):
        await first(secure.url, connecting)


async def test_a_wrong_name(secure: Secure) -> None:
    with pytest.raises(CertificateNotTrusted, match="localhost"):
        await first(secure.url.replace("127.0.0.1", "localhost"), Connecting(cacert=secure.ca, ipv4=True))


async def test_insecure_trusts_anybody(secure: Secure) -> None:
    assert await first(secure.url, Connecting(insecure=True)) == "unknown"


async def test_plain_and_tls_mixed_up(secure: Secure) -> None:
    with websockets_server() as url:
        with pytest.raises(ConnectFailed, match="no TLS with"):
            await first(url.replace("ws:", "wss:"), Connecting())
    with pytest.raises(ConnectFailed):
        await first(secure.url.replace("wss:", "ws:"), Connecting())


@pytest.mark.parametrize(
    ("connecting", "problem"),
    [
        (Connecting(cacert=Path("/no/such")), "--cacert /no/such cannot be read: no such file or directory"),
        (Connecting(cacert=Path(__file__)), "holds no certificate"),
        (Connecting(cert=Path(__file__)), "holds no certificate"),
        (Connecting(key=Path(__file__)), "--key needs --cert"),
        (Connecting(ipv4=True, ipv6=True), "-4 and -6 exclude each other"),
        (Connecting(proxy="x", no_proxy=True), "exclude each other"),
        (Connecting(header=["no colon"]), "must be 'NAME: VALUE'"),
        (Connecting(user="no colon"), "must be NAME:PASSWORD"),
        (Connecting(user="a:b", token="c"), "exclude each other"),
        (Connecting(token_file=Path("/no/such")), "cannot be read"),
        (Connecting(cookie=["a=b; c=d"]), "must be NAME=VALUE"),
    ],
)
def test_options_that_cannot_work(connecting: Connecting, problem: str) -> None:
    with pytest.raises(typer.BadParameter) as caught:
        connecting.options()
    assert problem in caught.value.message


async def serve_proxy(stream: trio.SocketStream, server: RawServer) -> None:
    """A CONNECT proxy for whoever is called user:pass."""
    head = b""
    while b"\r\n\r\n" not in head:
        head += await stream.receive_some()
    server.received += head
    if b"Proxy-Authorization: Basic dXNlcjpwYXNz" not in head:
        return await stream.send_all(b"HTTP/1.1 407 No\r\nContent-Length: 6\r\n\r\nwho?\r\n")
    host, _, port = head.split()[1].decode().rpartition(":")
    await tunnel(stream, host, int(port))


async def test_through_a_proxy(secure: Secure) -> None:
    async with raw_server(serve_proxy) as proxy:
        address = proxy.url.removeprefix("ws://").rstrip("/")
        connecting = Connecting(cacert=secure.ca, proxy=f"http://user:pass@{address}")
        assert await first(secure.url, connecting) == "unknown"
        with pytest.raises(
            Rejected, match=r"did not open a tunnel to .*: it answered HTTP 407 \(who\?\)"
        ) as no:
            await first(secure.url, Connecting(proxy=f"user:secret@{address}"))
        assert "secret" not in str(no.value)
    assert proxy.received.startswith(b"CONNECT 127.0.0.1:")


async def test_the_environment_names_the_proxy(secure: Secure, monkeypatch: pytest.MonkeyPatch) -> None:
    async with raw_server(serve_proxy) as proxy:
        monkeypatch.setenv("https_proxy", proxy.url.replace("ws://", "http://user:pass@"))
        monkeypatch.delenv("no_proxy", raising=False)
        connecting = Connecting(cacert=secure.ca)
        assert await first(secure.url, connecting) == "unknown"
        assert proxy.received
        proxy.received.clear()
        assert await first(secure.url, Connecting(cacert=secure.ca, no_proxy=True)) == "unknown"
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        assert await first(secure.url, connecting) == "unknown"
        assert not proxy.received


async def test_a_proxy_that_is_none() -> None:
    with pytest.raises(OptionError, match="proxy must be http://HOST:PORT; socks5:// is not supported"):
        async with open_client("ws://localhost/", proxy="socks5://x"):
            pass

    async def other(stream: trio.SocketStream, server: RawServer) -> None:
        await stream.send_all(b"220 mail.example.org ESMTP\r\n")
        await server.listen(stream)

    async with raw_server(other) as proxy:
        with pytest.raises(NotWebSocket, match="is not an HTTP proxy: what it answers is not HTTP"):
            async with open_client("ws://localhost/", proxy=proxy.url.replace("ws:", "http:")):
                pass


async def test_a_unix_socket(tmp_path: Path) -> None:
    path = tmp_path / "a.sock"

    def where(connection: ServerConnection) -> None:
        assert connection.request is not None
        connection.send(connection.request.path)

    with unix_serve(where, str(path)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        assert await first(f"ws+unix:{path}:/a%20room?q", Connecting()) == "/a%20room?q"
        assert await first(f"ws+unix://{path}", Connecting()) == "/"
        server.shutdown()
        thread.join()


async def test_one_ip_family_only() -> None:
    with websockets_server(lambda connection: connection.send("here")) as url:
        assert await first(url.replace("127.0.0.1", "localhost"), Connecting(ipv4=True)) == "here"
        with pytest.raises(ConnectFailed, match=r"127\.0\.0\.1 has no IPv6 address"):
            await first(url, Connecting(ipv6=True))


async def test_what_the_request_says(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("s3cret\n")

    def headers(connection: ServerConnection) -> None:
        assert connection.request is not None
        for name in ("Host", "X-One", "Authorization", "Cookie", "Origin", "Sec-WebSocket-Protocol"):
            connection.send(", ".join(connection.request.headers.get_all(name)))
        connection.send(connection.request.path)

    with websockets_server(headers, subprotocols=["b"]) as url:
        connecting = Connecting(
            header=["X-One: 1", "X-One:2"],
            token_file=tmp_path / "token",
            cookie=["a=b", "c=d"],
            origin="https://example.org",
            subprotocol=["a", "b"],
        )
        async with open_client(f"{url}räum?ä=1", **connecting.options()) as client:
            assert [message async for message in client] == [
                url.removeprefix("ws://").rstrip("/"),
                "1, 2",
                "Bearer s3cret",
                "a=b; c=d",
                "https://example.org",
                "a, b",
                "/r%C3%A4um?%C3%A4=1",
            ]
            assert client.subprotocol == "b"
    with websockets_server(headers) as url:
        async with open_client(url.replace("ws://", "ws://me:p%40ss@")) as client:
            assert [message async for message in client][2] == "Basic bWU6cEBzcw=="
            assert "p%40ss" not in client.address


@pytest.mark.parametrize(
    "headers",
    [
        [("Host", "x")],
        [("Content-Length", "1")],
        [("transfer-encoding", "chunked")],
        [("a b", "c")],
        [("a", "b\r\nc")],
        [("a", "ü")],
        [("a",)],
        ["ab"],
    ],
)
async def test_headers_that_would_break_the_request(headers: list[tuple[str, str]]) -> None:
    with pytest.raises(OptionError, match="headers"):
        async with open_client("ws://localhost/", headers=headers):
            pass


@pytest.mark.parametrize(
    ("url", "shown", "host"),
    [
        ("localhost:7890/room", "ws://localhost:7890/room", "localhost:7890"),
        ("ws://[::1]:80", "ws://[::1]/", "[::1]"),
        ("wss://example.org", "wss://example.org/", "example.org"),
        ("wss://example.org:80/?a b".replace(" ", "%20"), "wss://example.org:80/?a%20b", "example.org:80"),
        ("ws://me:secret@bücher.example/", "ws://xn--bcher-kva.example/", "xn--bcher-kva.example"),
        ("ws+unix:/run/a.sock:/b", "ws+unix:/run/a.sock:/b", "localhost"),
    ],
)
def test_addresses(url: str, shown: str, host: str) -> None:
    address = parse_address(url)
    assert (str(address), address.host_header) == (shown, host)
