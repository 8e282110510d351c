"""An HTTP client of raw bytes, and curl: one that says what a test wants said, and one that people use."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
import trio
from helpers.raw_peer import Peer, connection

__all__ = ["HttpPeer", "Received", "asking", "curl", "fetch", "head_of", "http_url"]


@dataclass(frozen=True)
class Received:
    """A response: its status, its headers by name in small letters, and its body."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode()

    @property
    def value(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


class HttpPeer(Peer):
    """One connection for HTTP."""

    async def read_head(self) -> Received:
        """Read a response up to its body."""
        first, *lines = (await self.read_until(b"\r\n\r\n")).decode().split("\r\n")[:-2]
        headers = {}
        for line in lines:
            name, _, value = line.partition(": ")
            assert name.lower() not in headers, f"{name} twice"
            headers[name.lower()] = value
        return Received(int(first.split(" ")[1]), headers, b"")

    async def read_answer(self, *, only_head: bool = False) -> Received:
        """Read a response whose length is said, or that comes in chunks."""
        head = await self.read_head()
        if head.headers.get("transfer-encoding") == "chunked" and not only_head:
            body = b""
            while length := int(await self.read_until(b"\r\n"), 16):
                body += (await self.read(length + 2))[:-2]
            await self.read_until(b"\r\n")
            return Received(head.status, head.headers, body)
        length = 0 if only_head else int(head.headers["content-length"])
        return Received(head.status, head.headers, await self.read(length))

    async def ask(
        self,
        target: str = "/",
        *,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> Received:
        """Send a request and read the response."""
        await self.send(head_of(target, method=method, headers=headers, body=body) + (body or b""))
        return await self.read_answer(only_head=method == "HEAD")

    async def is_ended(self) -> bool:
        """Wait for the server to end the connection, and return whether nothing came before."""
        return await self.read_to_end() == b""


def head_of(
    target: str = "/",
    *,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
) -> bytes:
    """Return the head of a request, with the length of the body if there is one."""
    fields = {"Host": "localhost", **(headers or {})}
    if body is not None:
        fields["Content-Length"] = str(len(body))
    lines = [f"{method} {target} HTTP/1.1", *[f"{name}: {value}" for name, value in fields.items()]]
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


@asynccontextmanager
async def asking(url: str) -> AsyncIterator[HttpPeer]:
    """A peer with a connection to the server at ``url``."""
    async with connection(url) as stream:
        yield HttpPeer(stream)


async def fetch(
    url: str,
    target: str = "/",
    *,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
) -> Received:
    """Send one request on a connection of its own, and return the response."""
    async with asking(url) as peer:
        return await peer.ask(target, method=method, headers=headers, body=body)


def http_url(url: str) -> str:
    """Return the address of a WebSocket as HTTP has it."""
    return url.replace("ws", "http", 1)


needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl: apt-get install curl")
"""For tests that run curl as a person does."""


async def curl(*arguments: str, stdin: bytes = b"") -> str:
    """Run curl, which must succeed, and return what it printed."""
    done = await trio.run_process(["curl", "-sS", *arguments], stdin=stdin, capture_stdout=True, check=True)
    assert isinstance(done, subprocess.CompletedProcess)
    return bytes(done.stdout).decode()
