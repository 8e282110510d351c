"""The servers that are compared: what each needs, and how its program in ``servers/`` is started."""

from __future__ import annotations

import importlib.metadata
import platform
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from homes import Homes, program

__all__ = ["PEERS", "Peer"]

HERE = Path(__file__).parent
REPOSITORY = HERE.parent.parent


@dataclass(frozen=True)
class Peer:
    """
    A server to compare.

    ``prepare`` installs what is needed and returns the command up to the port (raising ``NotToBeHad`` if that
    cannot be); ``version`` says what was installed.
    """

    name: str
    prepare: Callable[[Homes], list[str]]
    version: Callable[[Homes], str]
    bench: tuple[str, ...] = ()
    """Options that the load generator needs for this server."""
    tls: Callable[[Homes], list[str]] | None = None
    """As ``prepare``, where the program with a certificate is another."""
    environment: Callable[[Homes], dict[str, str]] = field(default=lambda homes: {})


def _python(file: str, *packages: str, after: tuple[str, ...] = ()) -> Callable[[Homes], list[str]]:
    def prepare(homes: Homes) -> list[str]:
        homes.install_python(*packages)
        return [str(homes.python), str(HERE / "servers" / file), *after]

    return prepare


def _versions(*packages: str) -> Callable[[Homes], str]:
    return lambda homes: ", ".join(f"{package} {homes.versions()[package]}" for package in packages)


def _node(homes: Homes) -> list[str]:
    homes.install_node("ws")
    return [program("node"), str(HERE / "servers" / "node_ws.mjs")]


def _node_version(homes: Homes) -> str:
    node = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout.strip()
    return f"ws {homes.node_version('ws')}, Node {node.removeprefix('v')}"


def _bun(homes: Homes) -> list[str]:
    return [str(homes.bun()), str(HERE / "servers" / "bun_publish.mjs")]


def _trioecho(homes: Homes) -> list[str]:
    return [sys.executable, "-m", "trioecho", "serve", "--log-level", "warning", "--port"]


def _trioecho_version(homes: Homes) -> str:
    described = subprocess.run(
        ["git", "-C", str(REPOSITORY), "describe", "--always", "--dirty"], capture_output=True, text=True
    )
    trio = importlib.metadata.version("trio")
    return f"trioecho {described.stdout.strip()}, trio {trio}, Python {platform.python_version()}"


PEERS = (
    Peer(
        "trioecho",
        _trioecho,
        _trioecho_version,
        tls=lambda homes: [sys.executable, str(HERE / "servers" / "trioecho_embedded.py")],
        environment=lambda homes: {"PYTHONPATH": str(REPOSITORY)},
    ),
    Peer("bun", _bun, lambda homes: f"Bun {homes.node_version('bun')}"),
    Peer(
        "socketify",
        _python("socketify_publish.py", "socketify"),
        _versions("socketify"),
        bench=("--to", "everyone"),
    ),
    Peer("picows", _python("picows_uvloop.py", "picows", "uvloop"), _versions("picows", "uvloop")),
    Peer("node-ws", _node, _node_version, environment=lambda homes: {"NODE_PATH": str(homes.modules)}),
    Peer("aiohttp", _python("aiohttp_asyncio.py", "aiohttp"), _versions("aiohttp")),
    Peer(
        "websockets-uvloop",
        _python("websockets_asyncio.py", "websockets", "uvloop", after=("uvloop",)),
        _versions("websockets", "uvloop"),
    ),
    Peer("websockets", _python("websockets_asyncio.py", "websockets"), _versions("websockets")),
    Peer(
        "websockets-trio",
        _python("websockets_trio.py", "websockets", "trio"),
        _versions("websockets", "trio"),
    ),
    Peer(
        "trio-websocket",
        _python("trio_websocket_plain.py", "trio", "trio-websocket"),
        _versions("trio-websocket", "trio"),
    ),
)
