"""Behind a proxy: who is there is the client, and only trusted proxies say so."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trio
import trustme
from helpers.browser import free_port
from helpers.http_client import asking, head_of
from helpers.raw_peer import connected, joined, request
from helpers.server import Serving, serving

from trioecho.http.request import Request
from trioecho.http.response import Response
from trioecho.transport.unix_listener import open_unix_listener

HAPROXY = shutil.which("haproxy", path="/usr/sbin:/usr/local/sbin:/usr/bin")
NGINX = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")


async def join_with(server: Serving, before: bytes = b"", headers: bytes = b"") -> str:
    """Join with bytes before the request and headers in it; return who the log says it is."""
    async with connected(server.url) as peer:
        await peer.shake_hands(before + request().replace(b"\r\n\r\n", b"\r\n" + headers + b"\r\n"))
        return str((await server.event("connected"))["address"])


@pytest.mark.parametrize("trusted", [True, False])
async def test_forwarded_headers_count_only_from_a_trusted_proxy(trusted: bool) -> None:
    proxies = ("127.0.0.0/8",) if trusted else ("192.0.2.0/24",)
    async with serving(trusted_proxy=proxies) as server:
        who = await join_with(server, headers=b"X-Forwarded-For: 198.51.100.7\r\n")
        assert (who == "198.51.100.7") == trusted
        assert who.startswith("127.0.0.1:") != trusted


async def test_the_proxy_protocol_names_the_client_and_keeps_what_follows() -> None:
    async with serving(trusted_proxy=("127.0.0.1",), proxy_protocol=True) as server:
        line = b"PROXY TCP4 203.0.113.9 127.0.0.1 5555 80\r\n"
        assert await join_with(server, before=line) == "203.0.113.9:5555"


async def test_a_trusted_proxy_without_its_header_is_refused() -> None:
    async with serving(trusted_proxy=("127.0.0.1",), proxy_protocol=True) as server:
        async with connected(server.url) as peer:
            await peer.send(request())
            await peer.wait_gone()
        refused = await server.event("refused", why="proxy-protocol")
        assert refused["reason"] == "the connection does not begin with a PROXY header"


async def test_the_proxy_protocol_comes_before_tls(tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(tmp_path / "c.pem")
    context = ssl.create_default_context()
    authority.configure_trust(context)
    options = {"trusted_proxy": ("127.0.0.1",), "proxy_protocol": True}
    async with serving(tls_cert=str(tmp_path / "c.pem"), **options) as server:  # type: ignore[arg-type]
        port = int(server.url.rpartition(":")[2].rstrip("/"))
        plain = await trio.open_tcp_stream("127.0.0.1", port)
        await plain.send_all(b"PROXY TCP4 203.0.113.9 127.0.0.1 5555 80\r\n")
        stream = trio.SSLStream(plain, context, server_hostname="127.0.0.1")
        await stream.send_all(request())
        assert (await stream.receive_some()).startswith(b"HTTP/1.1 101")
        assert (await server.event("connected"))["address"] == "203.0.113.9:5555"
        await trio.aclose_forcefully(stream)


@contextmanager
def process(port: int, *command: str) -> Iterator[None]:
    """Run a proxy, from when it listens on ``port`` to the end of the block."""
    running = subprocess.Popen(command)
    give_up = time.monotonic() + 10
    try:
        while True:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except ConnectionRefusedError:
                assert running.poll() is None and time.monotonic() < give_up
        yield
    finally:
        running.terminate()
        running.wait()


@pytest.mark.skipif(HAPROXY is None, reason="needs haproxy: apt-get install haproxy")
async def test_haproxy_passes_the_client_on_with_version_2(tmp_path: Path) -> None:
    async with serving(trusted_proxy=("127.0.0.1",), proxy_protocol=True) as server:
        port = free_port()
        upstream = server.url.removeprefix("ws://").rstrip("/")
        (tmp_path / "h.cfg").write_text(
            "defaults\n mode tcp\n timeout connect 5s\n timeout client 60s\n timeout server 60s\n"
            f"frontend in\n bind 127.0.0.1:{port}\n default_backend out\n"
            f"backend out\n server one {upstream} send-proxy-v2\n"
        )
        with process(port, str(HAPROXY), "-f", str(tmp_path / "h.cfg"), "-db"):
            async with joined(f"ws://127.0.0.1:{port}/") as peer:
                assert (await server.event("connected"))["address"] == peer.address


@pytest.mark.skipif(NGINX is None, reason="needs nginx: apt-get install nginx")
async def test_nginx_over_a_unix_socket_passes_the_client_on(tmp_path: Path) -> None:
    # nginx started by root gives its workers away to a user who must get in here.
    for folder in (tmp_path, *tmp_path.parents):
        if folder.name.startswith(("pytest-", "popen-")) or folder == tmp_path:
            folder.chmod(0o755)
    path = str(tmp_path / "s")
    async with serving(listeners=[open_unix_listener(path, mode=0o666)], trusted_proxy=("unix",)) as server:
        port = free_port()
        temporary = "".join(
            f"{name}_temp_path {tmp_path}/{name};"
            for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        (tmp_path / "n.conf").write_text(
            f"daemon off; pid {tmp_path}/pid; error_log stderr warn; events {{}}\n"
            f"http {{ access_log off; {temporary} server {{ listen 127.0.0.1:{port}; location / {{\n"
            f"proxy_pass http://unix:{path}:; proxy_http_version 1.1;\n"
            "proxy_set_header Host $http_host; proxy_set_header Upgrade $http_upgrade;\n"
            "proxy_set_header Connection upgrade;\n"
            "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; }}}\n"
        )
        command = (str(NGINX), "-c", str(tmp_path / "n.conf"), "-p", str(tmp_path), "-e", "stderr")
        with process(port, *command):
            async with connected(f"ws://127.0.0.1:{port}/") as peer:
                lie = b"\r\nX-Forwarded-For: 198.51.100.1\r\n\r\n"
                await peer.shake_hands(request().replace(b"\r\n\r\n", lie))
                assert (await server.event("connected"))["address"] == "127.0.0.1"


@pytest.mark.parametrize("trusted", [True, False])
async def test_a_trusted_proxy_says_which_host_and_scheme_the_client_asked_for(trusted: bool) -> None:
    seen: list[Request] = []

    async def look(request: Request) -> Response:
        seen.append(request)
        return Response(200, b"seen")

    proxies = ("127.0.0.1",) if trusted else ()
    async with serving(trusted_proxy=proxies, http_handlers={"/look": look}) as server:
        async with asking(server.url) as peer:
            said = {"X-Forwarded-Host": "chat.example.com", "X-Forwarded-Proto": "https"}
            await peer.send(head_of("/look", headers={**said, "X-Forwarded-For": "2001:db8::1"}))
            assert (await peer.read_answer()).status == 200
    (request,) = seen
    assert request.peer is not None
    if trusted:
        assert request.header("host") == "chat.example.com"
        assert (request.peer.host, request.peer.scheme) == ("2001:db8::1", "https")
    else:
        assert request.header("host") != "chat.example.com"
        assert (request.peer.host, request.peer.scheme) == ("127.0.0.1", "http")
