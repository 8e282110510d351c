"""The servers that are compared: what each needs, and how its program in ``servers/`` is started."""

from __future__ import annotations

import importlib.metadata
import platform
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from homes import Homes, NotToBeHad, program
from processes import REPOSITORY

__all__ = ["BROKERS", "COMPRESSING", "PEERS", "Peer"]

HERE = Path(__file__).parent


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
    """
    As ``prepare``, for a server that has the certificate of ``homes``. Without this the certificate's file
    follows the port.
    """
    load: tuple[str, ...] = ("-m", "trioecho", "bench")
    """Python's arguments for a load generator that this server understands."""
    environment: Callable[[Homes], dict[str, str]] = field(default=lambda homes: {})
    only_for: str = ""
    """The kind of rows that it is for, if not for all: ``compression``, or ``broker``."""


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


def _of_trioecho(homes: Homes) -> dict[str, str]:
    return {"PYTHONPATH": str(REPOSITORY), "TRIOECHO_MAX_CONNECTIONS": "19500"}


def _trioecho_tls(homes: Homes) -> list[str]:
    return [*_trioecho(homes)[:-1], "--tls-cert", str(homes.certificate()[0]), "--port"]


def _nchan(homes: Homes) -> list[str]:
    program("nginx")
    module = Path("/usr/lib/nginx/modules/ngx_nchan_module.so")
    if not module.exists():
        raise NotToBeHad("nchan is not installed: apt-get install libnginx-mod-nchan")
    return [sys.executable, str(HERE / "servers" / "nginx_nchan.py"), str(module)]


def _nats(homes: Homes) -> list[str]:
    program("nats-server")
    return [sys.executable, str(HERE / "servers" / "nats_websocket.py")]


def _debian(package: str) -> Callable[[Homes], str]:
    def version(homes: Homes) -> str:
        shown = ["dpkg-query", "--show", "--showformat", "${Package} ${Version}", package]
        try:
            return subprocess.run(shown, capture_output=True, text=True, check=True).stdout
        except (OSError, subprocess.CalledProcessError):
            return f"{package}, not Debian's"

    return version


def _trioecho_plain(homes: Homes) -> list[str]:
    return [*_trioecho(homes)[:-1], "--no-compress", "--port"]


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
        tls=_trioecho_tls,
        environment=_of_trioecho,
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
    Peer(
        "nchan",
        _nchan,
        _debian("libnginx-mod-nchan"),
        bench=("--to", "everyone"),
        only_for="broker",
    ),
    Peer(
        "nats",
        _nats,
        _debian("nats-server"),
        load=(str(HERE / "nats_load.py"),),
        only_for="broker",
    ),
    Peer(
        "trioecho-plain",
        _trioecho_plain,
        lambda homes: "trioecho --no-compress",
        environment=_of_trioecho,
        only_for="compression",
    ),
    Peer(
        "bun-deflate",
        _bun,
        lambda homes: f"Bun {homes.node_version('bun')} with perMessageDeflate",
        environment=lambda homes: {"DEFLATE": "1"},
        only_for="compression",
    ),
    Peer(
        "websockets-deflate",
        _python("websockets_asyncio.py", "websockets", after=("deflate",)),
        _versions("websockets"),
        only_for="compression",
    ),
)

COMPRESSING = tuple(peer.name for peer in PEERS if peer.only_for == "compression")
BROKERS = tuple(peer.name for peer in PEERS if peer.only_for == "broker")
