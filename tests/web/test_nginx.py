"""Behind nginx, at the root and under a path prefix: all four ways into a room still work."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from helpers.browser import ServerProcess, chromium, free_port
from helpers.http_client import asking, curl, head_of
from helpers.raw_peer import TEXT, frame, request
from helpers.server import serving

NGINX = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")

pytestmark = [
    pytest.mark.proxy,
    pytest.mark.skipif(NGINX is None, reason="needs nginx: apt-get install nginx"),
]

CONFIGURATION = """
daemon off;
worker_processes 1;
pid {folder}/pid;
error_log stderr warn;
events {{ worker_connections 100; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    map $http_upgrade $connection_upgrade {{ default upgrade; '' ''; }}
    upstream trioecho {{ server {upstream}; keepalive 8; }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://trioecho;
            proxy_http_version 1.1;
            proxy_set_header Host $http_host;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $connection_upgrade;
            proxy_read_timeout 60s;
        }}
        location /chat/ {{
            proxy_pass http://trioecho/;
            proxy_http_version 1.1;
            proxy_set_header Host $http_host;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $connection_upgrade;
        }}
    }}
}}
"""

browser = pytest.fixture(scope="module")(chromium)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    # nginx started by root gives its workers away, to one who must get at its folders.
    tmp_path.chmod(0o755)
    yield tmp_path


@contextmanager
def nginx(folder: Path, upstream: str) -> Iterator[str]:
    """Nginx in front of the server at ``upstream``; gives its own address."""
    port = free_port()
    file = folder / "nginx.conf"
    file.write_text(CONFIGURATION.format(folder=folder, upstream=upstream, port=port))
    process = subprocess.Popen([str(NGINX), "-c", str(file), "-p", str(folder), "-e", "stderr"])
    try:
        give_up = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except ConnectionRefusedError:
                assert process.poll() is None and time.monotonic() < give_up
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


@pytest.mark.parametrize("prefix", ["", "chat/"])
async def test_all_four_ways_work_through_it(prefix: str, folder: Path) -> None:
    async with serving() as server:
        upstream = server.url.removeprefix("ws://").rstrip("/")
        with nginx(folder, upstream) as address:
            path = f"/{prefix}news%20of%20today"
            url, at = f"http://{address}{path}", f"ws://{address}/"
            async with asking(at) as events, asking(at) as client, asking(at) as other:
                await events.send(head_of(path, headers={"Accept": "text/event-stream"}))
                await events.read_until(b"-0\n\n")
                for peer in (client, other):
                    await peer.shake_hands(request(path.encode()))
                await client.send(frame(TEXT, b"over nginx"))
                assert await other.read_frame() == (TEXT, b"over nginx")
                assert (await events.read_until(b"\n\n")).endswith(b"data: over nginx\n\n")
                said = await curl(
                    "-H", "Authorization: Bearer secret", "-H", "Content-Type: text/plain",
                    "-d", "posted", url,
                )  # fmt: skip
                assert said == '{"room": "/news of today", "receivers": 3}\n'
                assert await other.read_frame() == (TEXT, b"posted")
                assert (await events.read_until(b"posted")).endswith(b"data: posted")
                assert '"subscribers": 3' in await curl("-H", "Accept: application/json", url)
                assert "This is trioecho" in await curl(url)
                html = await curl("-H", "Accept: text/html", url)
                assert html.startswith("<!doctype html>")
            await server.event("disconnected", count=3, room="/news of today")
        assert not server.tracebacks


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_the_page_finds_its_room_behind_a_prefix(browser: Any, folder: Path) -> None:
    server = ServerProcess()
    with nginx(folder, server.address) as address:
        context = browser.new_context()
        page = context.new_page()
        page.goto(f"http://{address}/chat/one")
        page.get_by_text("1 here").wait_for()
        assert page.get_by_label("Room", exact=True).input_value() == "/one"
        page.get_by_label("Room", exact=True).fill("another one")
        page.keyboard.press("Enter")
        page.wait_for_url("**/chat/another%20one")
        page.get_by_text("1 here").wait_for()
        assert page.get_by_label("Room", exact=True).input_value() == "/another one"
        context.close()
    server.stop()
