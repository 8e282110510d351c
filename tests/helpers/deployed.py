"""A server as it is deployed: its files, the programs around it, and what it logs."""

from __future__ import annotations

import json
import shutil
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
import trustme
from helpers.shell import Shell, Started

import trioecho

__all__ = [
    "BEARER",
    "NGINX",
    "TOKEN",
    "Files",
    "close_code",
    "entry",
    "help_by_name",
    "needs",
    "path_of",
    "run",
]

NGINX = """
daemon off;
pid {folder}/pid;
error_log stderr warn;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    {http}
    server {{
        listen 127.0.0.1:{port};
        {server}
    }}
}}
"""
"""A configuration around what the manual says of nginx."""

SBIN = "/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin"

TOKEN = "9f3c2a7e51d04b68a1c5"
BEARER = [("Authorization", f"Bearer {TOKEN}")]


def path_of(program: str) -> str:
    """Return where a program is; a test that needs one is marked with :func:`needs`."""
    path = shutil.which(program, path=SBIN)
    assert path is not None
    return path


def needs(program: str, package: str = "") -> pytest.MarkDecorator:
    """Skip a test where there is no such program, and say how to get it."""
    missing = shutil.which(program, path=SBIN) is None
    return pytest.mark.skipif(missing, reason=f"needs {program}: apt-get install {package or program}")


class Files:
    """What ``/etc/trioecho`` has in it, for a server called localhost; and an authority for its clients."""

    def __init__(self, folder: Path) -> None:
        self.authority = trustme.CA()
        certificate = self.authority.issue_cert("localhost")
        self.tokens, self.cert, self.key = folder / "tokens", folder / "cert.pem", folder / "key.pem"
        self.tokens.write_text(f"ada {TOKEN}\n")
        self.tokens.chmod(0o640)
        certificate.cert_chain_pems[0].write_to_path(self.cert)
        certificate.private_key_pem.write_to_path(self.key)

    def trusting(self) -> ssl.SSLContext:
        context = ssl.create_default_context()
        self.authority.configure_trust(context)
        return context


@asynccontextmanager
async def run(script: str, folder: Path, **variables: str) -> AsyncIterator[tuple[Started, str]]:
    """Run a script that starts a server until the block ends; gives also its first line."""
    async with Shell(folder, **variables).start(f"exec 2>&1\n{script}") as server:
        yield server, await server.line()
        if server.process.returncode is None:
            server.interrupt()
        code, log = await server.end()
        assert code == 0 and "Traceback" not in log, log


async def entry(server: Started, event: str) -> dict[str, Any]:
    """Return the next line of a JSON log with this event."""
    while (found := json.loads(await server.line()))["event"] != event:
        pass
    return dict(found)


async def close_code(client: trioecho.Client) -> int:
    """Wait for the end of a client, and return the code that it was closed with."""
    with pytest.raises(trioecho.client.ConnectionClosed) as closed:
        await client.receive()
    return closed.value.code


async def help_by_name(files: Files, port: int) -> str:
    """Ask for the help as a client of example.org does, and return it."""
    plain = await trio.open_tcp_stream("127.0.0.1", port)
    tls = trio.SSLStream(plain, files.trusting(), server_hostname="localhost", https_compatible=True)
    async with tls:
        await tls.send_all(b"GET / HTTP/1.1\r\nHost: example.org\r\nConnection: close\r\n\r\n")
        return b"".join([data async for data in tls]).decode()
