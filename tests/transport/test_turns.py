"""Who brings much work, or comes in numbers, shares each pass of the scheduler with everybody else."""

from __future__ import annotations

import ssl
from collections import Counter
from pathlib import Path

import pytest
import trio
import trio.testing
import trustme
from helpers.passes import passes
from helpers.raw_peer import close, connection, joined, request
from helpers.server import Serving, serving

from trioecho.transport.turns import Turns


async def test_those_in_line_go_on_one_in_each_pass(nursery: trio.Nursery) -> None:
    turns, taken = Turns(), Counter[int]()

    async def work(number: int) -> None:
        for _ in range(5):
            await turns.take()
            taken[number] += 1

    for number in range(10):
        nursery.start_soon(work, number)
    grown = await passes(lambda: taken.total() == 50, taken.total)
    assert max(grown) <= 2 and len(grown) >= 50
    assert set(taken.values()) == {5}


async def test_the_first_goes_on_at_once() -> None:
    turns, done = Turns(), 0
    with trio.CancelScope() as scope:
        scope.cancel()  # so that a checkpoint would end it
        for _ in range(2):
            await turns.take_if_many()
            done += 1
    assert done == 1


async def test_of_many_one_goes_on_in_each_pass_in_the_order_they_came(nursery: trio.Nursery) -> None:
    turns, came, taken = Turns(), list[int](), list[int]()

    async def work(number: int) -> None:
        came.append(number)
        await turns.take_if_many()
        taken.append(number)

    for number in range(40):
        nursery.start_soon(work, number)
    grown = await passes(lambda: len(taken) == 40, lambda: len(taken))
    # One of the two tasks may come first in a pass, and a long pass may have one that need not stand in line.
    assert max(grown) <= 4
    assert taken == came


async def test_one_of_the_line_that_is_cancelled_holds_up_nobody(nursery: trio.Nursery) -> None:
    turns, taken = Turns(), 0

    async def work() -> None:
        nonlocal taken
        await turns.take_if_many()
        taken += 1

    with trio.CancelScope() as scope:
        async with trio.open_nursery() as cancelled:
            for _ in range(20):
                cancelled.start_soon(work)
            await trio.lowlevel.checkpoint()
            scope.cancel()
    for _ in range(20):
        nursery.start_soon(work)
    taken = 0
    await passes(lambda: taken >= 20, lambda: taken)


@pytest.mark.parametrize("how", ["close", "end", "reset"])
async def test_clients_that_leave_together_are_seen_to_one_in_each_pass(how: str) -> None:
    async with serving(max_connections=200) as server, trio.open_nursery() as nursery:
        there = 0

        async def come_and_go() -> None:
            nonlocal there
            async with joined(server.url) as peer:
                there += 1
                await leave.wait()
                if how == "close":
                    await peer.send(close())
                    await peer.wait_gone()
                else:
                    peer.vanish(reset=how == "reset")

        leave = trio.Event()
        for _ in range(100):
            nursery.start_soon(come_and_go)
        await server.event("connected", count=100)
        leave.set()
        await check_spread(server, "disconnected", 100)


@pytest.mark.parametrize(
    ("head", "event"),
    [(request(), "connected"), (request(version=b"HTTP/9.9"), "refused"), (b"x\n\n", "refused")],
)
async def test_requests_that_come_together_are_seen_to_one_in_each_pass(head: bytes, event: str) -> None:
    async with serving() as server, trio.open_nursery() as nursery:
        go, there = trio.Event(), 0

        async def ask() -> None:
            nonlocal there
            async with connection(server.url) as stream:
                there += 1
                await go.wait()
                await stream.send_all(head)
                await stream.receive_some()

        for _ in range(20):  # of refusals no more are logged
            nursery.start_soon(ask)
        while there < 20:
            await trio.testing.wait_all_tasks_blocked()  # so that they are accepted, too
        go.set()
        await check_spread(server, event, 20)


async def test_tls_handshakes_that_come_together_are_answered_one_after_another(tmp_path: Path) -> None:
    authority = trustme.CA()
    chain = tmp_path / "cert.pem"
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(chain)
    context = ssl.create_default_context()
    authority.configure_trust(context)
    count, there, done, go = 30, 0, 0, trio.Event()
    async with serving(tls_cert=str(chain)) as server, trio.open_nursery() as nursery:
        address = server.url.removeprefix("wss://").rstrip("/").split(":")

        async def shake_hands() -> None:
            nonlocal there, done
            stream = await trio.open_tcp_stream(address[0], int(address[1]))
            incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
            tls = context.wrap_bio(incoming, outgoing, server_hostname=address[0])
            with pytest.raises(ssl.SSLWantReadError):
                tls.do_handshake()
            there += 1
            await go.wait()
            async with stream:
                await stream.send_all(outgoing.read())
                assert await stream.receive_some()
                done += 1

        for _ in range(count):
            nursery.start_soon(shake_hands)
        while there < count:
            await trio.testing.wait_all_tasks_blocked()
        go.set()
        grown = await passes(lambda: done == count, lambda: done)
        assert max(grown) <= 4 and len(grown) >= count


async def check_spread(server: Serving, event: str, count: int) -> None:
    """Check that so many entries come one in each pass, as near as can be seen."""

    def found() -> int:
        return len(server.find(event))

    grown = await passes(lambda: found() == count, found)
    # Those of the line and those who need not stand in it, and two passes that may be seen as one.
    assert max(grown) <= 4, grown
