"""
The acceptance: clients of four libraries talk in several rooms, and everybody gets exactly what is theirs.

A few seconds' worth by default; the whole measure (100 clients in 10 rooms, 20,000 messages) with
``TRIOECHO_TEST_FULL=1`` in the environment.
"""

from __future__ import annotations

import os
import signal
from contextlib import AsyncExitStack
from typing import get_args

import pytest
import trio
from helpers.crowd import Crowd
from helpers.raw_peer import joined
from helpers.server_process import Running, running

from trioecho.settings import WhenSlow

FULL = bool(os.environ.get("TRIOECHO_TEST_FULL"))

ROOMS, CLIENTS, MESSAGES = (10, 100, 20_000) if FULL else (3, 12, 3_000)

PATIENCE = 120.0 if FULL else 30.0

STALL_LIMIT = 5.0 if FULL else 1.0

PENDING = "4MiB" if FULL else "2MiB"

STUCK = 5
"""Clients that stop reading."""

SLACK = 5.0 if FULL else 2.0
"""How much longer than it must something may take while this process plays all the clients (seconds)."""


async def shut_down(server: Running) -> None:
    """Send SIGTERM; the server must end by itself and in time."""
    server.signal(signal.SIGTERM)
    assert await server.exit_code() == 0


def report(crowd: Crowd) -> None:
    """Say what it came to, for who runs the whole measure (with ``-s``)."""
    delivered = sum(len(part.order) for part in crowd.parts)
    longest = max(part.longest_wait for part in crowd.parts)
    print(f"\n{len(crowd.parts)} clients, {delivered} messages delivered, longest wait {longest:.2f} s")


async def test_everybody_gets_exactly_what_is_theirs_in_order() -> None:
    crowd = Crowd(rooms=ROOMS, clients=CLIENTS, messages=MESSAGES)
    async with running(patience=PATIENCE) as server, trio.open_nursery() as nursery:
        go = trio.Event()
        nursery.start_soon(crowd.talk, server.url, go)
        await server.event("connected", count=CLIENTS)
        go.set()
        await crowd.wait_for("all", CLIENTS)
        await shut_down(server)
    crowd.check_orders()
    report(crowd)
    assert [part.code for part in crowd.parts] == [1001] * CLIENTS
    left = server.find("disconnected", why="shutdown", received=MESSAGES // CLIENTS, dropped=0, unsent=0)
    assert len(left) == CLIENTS


async def test_sigterm_in_the_middle_delivers_to_all_what_it_delivered_to_one() -> None:
    crowd = Crowd(rooms=ROOMS, clients=CLIENTS, messages=MESSAGES)
    async with running(patience=PATIENCE) as server, trio.open_nursery() as nursery:
        go = trio.Event()
        nursery.start_soon(crowd.talk, server.url, go)
        await server.event("connected", count=CLIENTS)
        go.set()
        await crowd.wait_for("half", CLIENTS // 2)
        await shut_down(server)
    crowd.check_orders()
    report(crowd)
    assert [part.code for part in crowd.parts] == [1001] * CLIENTS
    assert crowd.told["all"] < CLIENTS
    assert len(server.find("disconnected", why="shutdown", dropped=0, unsent=0)) == CLIENTS


@pytest.mark.parametrize("policy", get_args(WhenSlow))
async def test_clients_that_do_not_read_cost_the_others_nothing_but_the_stall_limit(policy: WhenSlow) -> None:
    crowd = Crowd(rooms=ROOMS, clients=CLIENTS, messages=MESSAGES)
    options = ("--when-slow", policy, "--stall-limit", str(STALL_LIMIT), "--max-pending-bytes", PENDING)
    async with running(*options, patience=PATIENCE) as server, AsyncExitStack() as exit_stack:
        stuck = []
        for number in range(STUCK):
            room = b"/room%d" % (number % ROOMS)
            stuck.append(await exit_stack.enter_async_context(joined(server.url, room, stuck=True)))
        async with trio.open_nursery() as nursery:
            go = trio.Event()
            nursery.start_soon(crowd.talk, server.url, go)
            await server.event("connected", count=CLIENTS + STUCK)
            go.set()
            await crowd.wait_for("all", CLIENTS)
            if policy.startswith("drop"):
                assert len(server.find("dropping")) == STUCK
            for peer in stuck:
                peer.vanish(reset=True)
            await server.event("disconnected", count=STUCK)
            await shut_down(server)
    crowd.check_orders()
    report(crowd)
    assert [part.code for part in crowd.parts] == [1001] * CLIENTS
    assert max(part.longest_wait for part in crowd.parts) < (STALL_LIMIT if policy == "wait" else 0) + SLACK
    assert len(server.find("disconnected", why="shutdown", dropped=0, unsent=0)) == CLIENTS
    # Under wait only the first is waited for, because all have one address.
    why = {"wait": {"slow", "never-kept-up", "slow-again"}, "disconnect": {"full"}}.get(policy, {"lost"})
    left = [entry for entry in server.find("disconnected") if entry["why"] in why]
    assert len(left) == STUCK
    for entry in left:
        assert (entry["dropped"] > 0) == policy.startswith("drop")
