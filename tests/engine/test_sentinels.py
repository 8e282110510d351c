"""Sentinels: real ones, which watch a primary and its replica, and say which of them is the primary."""

from __future__ import annotations

import logging
import signal
from functools import partial
from pathlib import Path

import pytest
import trio
from helpers.encrypted_engine import encrypted_engine
from helpers.engine_server import engine_server, free_port
from helpers.nodes import Nodes, nodes_on
from helpers.sentinels import PRIMARY, Sentinel, watched

from trioecho.engine import EngineLost, publisher
from trioecho.engine.dialer import Dialer
from trioecho.engine.sentinel import ask_sentinel
from trioecho.engine_url import parse_engine_url

PATIENCE = 90.0


async def all_on(nodes: Nodes, port: int) -> None:
    """Wait until all nodes use the engine at a port."""
    hosts = {f"127.0.0.1:{port}"}
    while not all(node.engine.is_up and {node.engine.dialer.host} == hosts for node in nodes.nodes):  # noqa: ASYNC110
        await trio.sleep(0.05)


@pytest.mark.parametrize("how", ["killed", "stopped", "switched"])
async def test_nodes_follow_to_the_replica_that_takes_over(tmp_path: Path, how: str) -> None:
    with trio.fail_after(PATIENCE):
        async with watched(tmp_path) as engines, nodes_on(engines.url) as nodes:
            await all_on(nodes, engines.first.port)
            nodes.publish()
            await trio.sleep(0.5)
            if how == "killed":
                engines.first.kill()
            elif how == "stopped":
                engines.first.signal(signal.SIGSTOP)
            else:
                engines.sentinels[0].ask(("SENTINEL", "FAILOVER", PRIMARY))
            await all_on(nodes, engines.second.port)
            if how == "stopped":
                engines.first.signal(signal.SIGCONT)  # it still takes itself for the primary
            await trio.sleep(0.5)
            outcome = await nodes.settle()
            assert outcome.published > 100
            # What the replica had not been told yet was appended again, and may have begun a new count.
            assert (outcome.lost, outcome.doubled, outcome.reordered) == (0, 0, 0)


async def test_a_primary_that_comes_back_as_a_replica_takes_over_again(tmp_path: Path) -> None:
    with trio.fail_after(PATIENCE):
        async with watched(tmp_path) as engines, nodes_on(engines.url) as nodes:
            nodes.publish()
            await all_on(nodes, engines.first.port)
            engines.first.kill()
            await all_on(nodes, engines.second.port)
            await engines.first.start()
            await engines.first.until(b"master_link_status:up", "INFO", "replication")
            engines.second.kill()
            await all_on(nodes, engines.first.port)
            outcome = await nodes.settle()
            assert (outcome.lost, outcome.doubled, outcome.reordered) == (0, 0, 0)


async def test_a_sentinel_that_is_gone_or_silent_is_passed_over(tmp_path: Path) -> None:
    with trio.fail_after(PATIENCE), trio.socket.socket() as silent:
        await silent.bind(("127.0.0.1", 0))
        silent.listen()
        async with watched(tmp_path, sentinels=1) as engines:
            there = engines.sentinels[0].port
            hosts = f"127.0.0.1:{free_port()},127.0.0.1:{silent.getsockname()[1]},127.0.0.1:{there}"
            dialer = Dialer(parse_engine_url(f"redis+sentinel://{hosts}/{PRIMARY}"))
            for _ in range(3):
                async with await dialer.connect():
                    assert dialer.host == f"127.0.0.1:{engines.first.port}"


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (b"", "it closed the connection before it said a word"),
        (b"-ERR max number of clients reached\r\n", "max number of clients reached"),
        (b"*2\r\n$9\r\n127.0.0.1\r\n$4\r\n7000\r\n", None),
    ],
    ids=["nothing", "an error", "the answer"],
)
async def test_a_sentinel_that_hangs_up_is_passed_over(said: bytes, why: str | None) -> None:
    """As a proxy does without anything behind it, or a server that has too many clients."""

    async def hang_up(stream: trio.SocketStream) -> None:
        if why is None:
            await stream.receive_some()
        await stream.send_all(said)
        await stream.aclose()

    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            serve = partial(trio.serve_tcp, host="127.0.0.1")
            listeners: list[trio.SocketListener] = await nursery.start(serve, hang_up, 0)
            port = listeners[0].socket.getsockname()[1]
            address = parse_engine_url(f"redis+sentinel://127.0.0.1:{port}/{PRIMARY}")
            for _ in range(5):
                if why is None:
                    host = await ask_sentinel(address.hosts[0], address, None)
                    assert (host.name, host.port) == ("127.0.0.1", 7000)
                else:
                    # A connection that is reset says no more than that.
                    with pytest.raises(EngineLost, match=f"{why}|the connection broke"):
                        await ask_sentinel(address.hosts[0], address, None)
            nursery.cancel_scope.cancel()


async def test_a_sentinel_that_still_names_the_old_primary_is_not_believed(tmp_path: Path) -> None:
    """One that cannot talk to the others learns of no failover."""
    with trio.fail_after(PATIENCE):
        async with engine_server(tmp_path, "first") as first, engine_server(tmp_path, "second") as second:
            stale, fresh = Sentinel(tmp_path, "stale", first, 5), Sentinel(tmp_path, "fresh", second, 5)
            try:
                for sentinel in (stale, fresh):
                    sentinel.start()
                    await sentinel.knows(0, 0)
                url = f"redis+sentinel://127.0.0.1:{stale.port},127.0.0.1:{fresh.port}/{PRIMARY}"
                first.ask("REPLICAOF", "127.0.0.1", second.port)
                async with nodes_on(url, 1) as nodes:
                    await all_on(nodes, second.port)
            finally:
                stale.kill()
                fresh.kill()


async def test_passwords_of_the_sentinels_and_of_the_engine(tmp_path: Path) -> None:
    with trio.fail_after(PATIENCE):
        async with engine_server(tmp_path, "first", program="redis-server") as first:
            first.ask("CONFIG", "SET", "requirepass", "Wk4engine")
            login = ("AUTH", "Qz5sentinel")
            sentinel = Sentinel(
                tmp_path,
                "sentinel",
                first,
                1,
                f"sentinel auth-pass {PRIMARY} Wk4engine",
                f"requirepass {login[1]}",
            )
            try:
                sentinel.start()
                await sentinel.knows(0, 0, login)
                where = f"127.0.0.1:{sentinel.port}/{PRIMARY}"
                right = f"redis+sentinel://:Wk4engine@{where}?sentinel_password=Qz5sentinel"
                async with publisher(right) as engine:
                    await engine.publish("/x", "through")
                for url, about in (
                    (
                        f"redis+sentinel://:Wk4engine@{where}",
                        "it wants a password: give it as ?sentinel_password=",
                    ),
                    (f"{right}x", "it does not take this user and password of ?sentinel_password="),
                    (right.replace("engine@", "wrong@"), "it does not take this user and password"),
                ):
                    with pytest.raises(EngineLost) as caught:
                        async with publisher(url, engine_patience=1) as engine:
                            await engine.publish("/x", "not through")
                    assert about in str(caught.value)
                    assert "Wk4" not in str(caught.value) and "Qz5" not in str(caught.value)
            finally:
                sentinel.kill()


async def test_sentinels_that_are_none_are_named_with_the_reason_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "trioecho")
    with trio.fail_after(PATIENCE):
        async with engine_server(tmp_path, "engine") as engine, watched(tmp_path, sentinels=1) as engines:
            gone, there = free_port(), engines.sentinels[0].port
            url = f"redis+sentinel://127.0.0.1:{gone},127.0.0.1:{engine.port},127.0.0.1:{there}/other"
            async with nodes_on(url, 1, engine_patience=0.1, when_engine_down="local") as nodes:
                tried = 0
                while tried < 3:
                    tried += nodes[0].engine.troubles.now != ""
                    await trio.sleep(0.5)
    lost = [record.getMessage() for record in caplog.records if "engine-lost" in record.getMessage()]
    assert len(lost) == 1
    assert (
        f'why="no sentinel says where other is: 127.0.0.1:{gone}: cannot connect: connection refused;'
        f" 127.0.0.1:{engine.port}: it is no sentinel;"
        f' 127.0.0.1:{there}: it knows no primary of this name"'
    ) in lost[0]


async def test_sentinels_behind_tls_are_trusted_as_the_engine_is(tmp_path: Path) -> None:
    with trio.fail_after(PATIENCE):
        async with encrypted_engine(tmp_path, clients_have_certificates=False) as encrypted:
            port = free_port()
            lines = ["port 0", f"tls-port {port}", "tls-replication yes", *encrypted.lines]
            sentinel = Sentinel(tmp_path, "sentinel", encrypted.engine, 1, *lines, watching=encrypted.port)
            try:
                sentinel.start()
                await sentinel.knows(0, 0)
                url = f"rediss+sentinel://127.0.0.1:{port}/{PRIMARY}?ca={encrypted.ca}"
                async with publisher(url) as engine:
                    await engine.publish("/x", "through")
            finally:
                sentinel.kill()
