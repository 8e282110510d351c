"""Who is in a room that several nodes share: what watchers believe, whatever happens to nodes and engine."""

from __future__ import annotations

import random
import re
from pathlib import Path
from time import perf_counter

import pytest
import trio
import trio.lowlevel
from helpers.engine_server import EngineServer, engine_server
from helpers.markdown import PAGES
from helpers.presence_nodes import PresenceNode, agree, presence_nodes, until
from helpers.someone import Someone

from trioecho.engine.presence_scripts import READ_SCRIPT, nodes_key
from trioecho.protocol import frames
from trioecho.rooms.batch import Batch, Origin
from trioecho.rooms.presence import ENOUGH_NAMES, MOST_NAMES

PATIENCE = 90.0

SOON = 8.0
"""Sooner than a silent node is dead (seconds): what is right by then was not left to time."""

NODES = nodes_key("te1").decode()


def keys(engine: EngineServer) -> set[bytes]:
    """The names of all keys that are about presence."""
    found: list[bytes] = engine.ask("KEYS", "*")
    return {key for key in found if b":p" in key or key.startswith(NODES.encode())}


async def test_watchers_on_every_node_know_everybody(tmp_path: Path) -> None:
    with trio.fail_after(PATIENCE):
        async with engine_server(tmp_path) as engine, presence_nodes(engine.url, 3) as (one, other, third):
            ada = one.come("ada", watches=True)
            bo = other.come("bo", watches=True)
            one.come()
            third.come()
            await until(lambda: agree(one, other, third), SOON)
            assert ada.believes == bo.believes == {ada.id: "ada", bo.id: "bo"}
            assert ada.numbers == (2, 2)
            # Whoever comes later reads what was written before, and changes reach all.
            cy = third.come("cy", watches=True)
            await until(lambda: agree(one, other, third) and cy.numbers == (3, 2), SOON)
            other.go(bo)
            await until(lambda: agree(one, other, third) and ada.numbers == (2, 2), SOON)
            assert ada.told[-1]["left"] == [bo.id]
            # A name may be anything that fits into a line.
            odd = other.come('+ "é" -x  ')
            await until(lambda: cy.believes is not None and cy.believes.get(odd.id) == odd.name, SOON)


async def test_a_user_with_the_rights_that_the_manual_names_can_do_all_of_it(tmp_path: Path) -> None:
    rights = re.search(r"ACL SETUSER trioecho (.*?)```", PAGES["engine"], re.DOTALL)
    assert rights is not None
    with trio.fail_after(PATIENCE):
        async with engine_server(tmp_path) as engine:
            engine.ask("ACL", "SETUSER", "trioecho", *rights[1].split())
            url = f"redis://trioecho:PASSWORD@127.0.0.1:{engine.port}"
            async with presence_nodes(url, 2) as (one, other):
                watcher, _ = one.come(watches=True), other.come("ada")
                await until(lambda: agree(one, other) and one.hears and other.hears, SOON)
                assert await other.registry.publish("/", _message("heard")) == 1
                await until(lambda: watcher.heard == 1, SOON)
                presences = other.engine.presences
                assert presences is not None
                assert (await presences.ask("/")).unnamed == 1
                engine.ask("HSET", "te1:{/dead}:p", "deadnode", "1 1 0 1")
                assert (await presences.ask("/dead")).named == 0
                await until(lambda: b"te1:{/dead}:p" not in keys(engine), SOON)
                await other.engine.leave()
                await until(lambda: watcher.numbers == (0, 1), SOON)
                assert one.engine.connects == other.engine.connects == 1


async def test_what_nobody_needs_is_not_kept(tmp_path: Path) -> None:
    with trio.fail_after(PATIENCE):
        async with engine_server(tmp_path) as engine, presence_nodes(engine.url, 2) as (one, other):
            watcher, ada, bo = one.come(watches=True), other.come("ada"), other.come("bo", "/elsewhere")
            await until(lambda: agree(one, other) and b"te1:{/elsewhere}:p" in keys(engine), SOON)
            node = other.engine.node
            rooms = {b"te1:{/}:p", b"te1:{/elsewhere}:p"}
            names = {room + b":" + node for room in rooms}
            indexes = {b"te1:nodes:" + node, b"te1:nodes:" + one.engine.node}
            assert keys(engine) == rooms | names | indexes | {b"te1:nodes"}
            assert all(0 < engine.ask("TTL", key.decode()) <= 600 for key in keys(engine))
            # Nobody watches there, so nothing of it is pushed to anybody.
            channels = set(engine.ask("PUBSUB", "CHANNELS", "*:p"))
            assert channels == {b"te1:{/}:p"}
            other.go(ada)
            other.go(bo)
            one.go(watcher)
            await until(lambda: keys(engine) == {b"te1:nodes"}, SOON)
            assert engine.ask("PUBSUB", "CHANNELS", "*:p") == []
            # Rooms that nobody enters leave nothing, however many are opened.
            for number in range(100):
                with one.registry.hold(f"/{number}"):
                    assert one.size == 1
            # A room that is held, and in which somebody was, is shared as before.
            with other.registry.hold("/"):
                other.go(other.come("bo"))
                await until(lambda: other.size == 1 and len(keys(engine)) == 1, SOON)
                other.come("bo")
                await until(lambda: len(keys(engine)) == 4, SOON)
                other.go(other.members[-1])
            await until(lambda: one.size == other.size == 0, SOON)


async def test_without_presence_nothing_is_written(tmp_path: Path) -> None:
    with trio.fail_after(PATIENCE):
        async with engine_server(tmp_path) as engine:
            async with presence_nodes(engine.url, 2, presence=False) as (one, other):
                watcher = one.come("ada", watches=True)
                other.come("bo")
                await until(lambda: one.hears and other.hears, SOON)
                assert await other.registry.publish("/", _message("heard")) == 1
                await until(lambda: watcher.heard == 1, SOON)
                await trio.sleep(0.3)
                assert not watcher.told and keys(engine) == set()
                assert b"te1:nodes" not in engine.ask("PUBSUB", "CHANNELS")


async def test_a_node_without_members_says_nothing(tmp_path: Path) -> None:
    with trio.fail_after(PATIENCE):
        async with engine_server(tmp_path) as engine, presence_nodes(engine.url, 1) as (one,):
            await one.registry.publish("/", _message("said in passing"))
            await trio.sleep(0.3)
            assert keys(engine) == set()


async def test_a_node_that_dies_is_left_out_within_ten_seconds_and_one_that_leaves_at_once(
    tmp_path: Path,
) -> None:
    with trio.fail_after(PATIENCE):
        async with engine_server(tmp_path) as engine, presence_nodes(engine.url, 5) as nodes:
            one, other, *ending = nodes
            dying, quiet, leaving = ending
            watchers = [node.come(f"watcher {node.engine.node!r}", watches=True) for node in (one, other)]
            for node in ending:
                node.crowd(20)
                node.come()
            quiet.come("alone", "/quiet")
            await until(lambda: agree(*nodes) and b"te1:{/quiet}:p" in keys(engine), SOON)
            began = trio.current_time()
            dying.kill()
            quiet.kill()
            leaving.dead = True
            await leaving.engine.leave()
            await until(lambda: watchers[0].numbers == watchers[1].numbers == (42, 2), SOON)
            await until(lambda: agree(*nodes), 30)
            # Not heard for ten seconds, and told within two tenths; the rest is for a busy machine.
            assert trio.current_time() - began < 15
            assert watchers[0].numbers == (2, 0)
            # What they have left behind is gone: in this room at once, elsewhere as soon as somebody looks.
            await until(lambda: len([key for key in keys(engine) if b"{/}" in key]) == 3, SOON)
            assert b"te1:{/quiet}:p" in keys(engine)
            presences = one.engine.presences
            assert presences is not None
            assert (await presences.ask("/quiet")).named == 0
            await until(lambda: not any(b"quiet" in key for key in keys(engine)), SOON)


async def test_what_others_put_there_is_left_alone(tmp_path: Path) -> None:
    with trio.fail_after(PATIENCE):
        async with engine_server(tmp_path) as engine, presence_nodes(engine.url, 2) as (one, other):
            ada, _ = one.come("ada", watches=True), other.come("bo")
            await until(lambda: agree(one, other), SOON)
            node = other.engine.node.decode()
            for words in (
                "",
                "nonsense",
                f"{node} 0 x",
                f"{node} * 999999 1 0 1\n\n",
                "+",
                "-",
                "-nobody me",
            ):
                engine.ask("PUBLISH", "te1:{/}:p", words)
                engine.ask("PUBLISH", NODES, words)
            engine.ask("HSET", "te1:{/}:p", "somebody", "else")
            engine.cut()  # it is read again
            await until(lambda: one.engine.connects == other.engine.connects == 2)
            other.come("cy")
            await until(lambda: agree(one, other) and ada.numbers == (3, 0), SOON)
            assert engine.ask("HGET", "te1:{/}:p", "somebody") == b"else"


@pytest.mark.parametrize("cleared", [True, False])
async def test_a_node_that_was_taken_for_dead_puts_its_own_back(tmp_path: Path, cleared: bool) -> None:
    with trio.fail_after(PATIENCE):
        async with engine_server(tmp_path) as engine, presence_nodes(engine.url, 2) as (one, other):
            ada, bo = one.come("ada", watches=True), other.come("bo", watches=True)
            await until(lambda: agree(one, other), SOON)
            node = other.engine.node.decode()
            # As a third node would that has not heard it, and that may watch this room or not.
            engine.ask("ZREM", NODES, node)
            if cleared:
                engine.ask("HDEL", "te1:{/}:p", node)
                engine.ask("DEL", f"te1:{{/}}:p:{node}")
            engine.ask("PUBLISH", NODES, f"-{node} third")
            await until(lambda: engine.ask("ZSCORE", NODES, node) is not None, SOON)
            await trio.sleep(1)  # by now it was left out, and nothing brings it back but itself
            await until(lambda: agree(one, other), SOON)
            assert ada.numbers == (2, 0) and bo.numbers == (2, 0)


@pytest.mark.parametrize("how", ["flushed", "restarted", "cut"])
async def test_an_engine_that_forgets_is_told_again_and_watchers_do_not_notice(
    tmp_path: Path, how: str
) -> None:
    with trio.fail_after(PATIENCE):
        async with engine_server(tmp_path) as engine, presence_nodes(engine.url, 3) as nodes:
            watchers = [node.come(f"n{number}", watches=True) for number, node in enumerate(nodes)]
            nodes[0].crowd(50)
            await until(lambda: agree(*nodes), SOON)
            for watcher in watchers:
                watcher.told.clear()
            connects = [node.engine.connects for node in nodes]
            if how == "flushed":
                engine.ask("FLUSHALL")
            elif how == "restarted":
                engine.kill()
                await trio.sleep(0.5)
                await engine.start()
            else:
                engine.cut()
            if how != "flushed":
                await until(lambda: all(n.engine.connects > c for n, c in zip(nodes, connects, strict=True)))
            await until(lambda: len(keys(engine)) == 8)
            await trio.sleep(1)
            assert [watcher.told for watcher in watchers] == [[], [], []]
            # What changes goes on as before.
            nodes[1].come("one more")
            await until(lambda: agree(*nodes) and watchers[0].numbers == (54, 0), SOON)


async def test_who_died_while_the_engine_forgot_is_left_out(tmp_path: Path) -> None:
    with trio.fail_after(PATIENCE):
        async with engine_server(tmp_path) as engine, presence_nodes(engine.url, 3) as (one, other, dying):
            watcher = one.come("ada", watches=True)
            other.come("bo")
            gone, left = dying.come("cy"), other.come("dan")
            await until(lambda: agree(one, other, dying), SOON)
            assert watcher.believes is not None and gone.id in watcher.believes
            engine.kill()
            await trio.sleep(0.2)
            dying.kill()
            other.go(left)
            await engine.start()
            await until(lambda: agree(one, other, dying))
            assert watcher.numbers == (2, 0)


async def test_without_an_engine_for_ten_seconds_a_node_knows_its_own(tmp_path: Path) -> None:
    with trio.fail_after(PATIENCE):
        async with engine_server(tmp_path) as engine, presence_nodes(engine.url, 2) as (one, other):
            ada, _ = one.come("ada", watches=True), other.come("bo")
            await until(lambda: agree(one, other), SOON)
            engine.kill()
            began = trio.current_time()
            await until(lambda: agree(one))
            assert 5 < trio.current_time() - began < 20 and ada.numbers == (1, 0)
            one.come("cy")
            await engine.start()
            await until(lambda: agree(one, other))
            assert ada.numbers == (3, 0)


async def test_of_too_many_names_only_numbers_are_shared(tmp_path: Path) -> None:
    with trio.fail_after(PATIENCE):
        async with engine_server(tmp_path) as engine, presence_nodes(engine.url, 3) as (one, other, third):
            watcher = one.come(watches=True)
            first, second = other.crowd(700), third.crowd(300)
            await until(lambda: agree(one, other, third) and watcher.numbers == (MOST_NAMES, 1))
            assert watcher.believes is not None
            more = third.come("one too many")
            await until(lambda: watcher.numbers == (MOST_NAMES + 1, 1) and watcher.believes is None)
            presences = one.engine.presences
            assert presences is not None
            assert (await presences.ask("/")).names is None
            third.go(more)
            for someone in second[: MOST_NAMES - ENOUGH_NAMES]:
                third.go(someone)
            await until(lambda: watcher.believes is not None and len(watcher.believes) == ENOUGH_NAMES)
            # A node that has too many by itself does not write their names.
            crowd = other.crowd(500)
            names = f"te1:{{/}}:p:{other.engine.node.decode()}"
            await until(lambda: watcher.numbers == (1400, 1) and engine.ask("EXISTS", names) == 0)
            for someone in crowd:
                other.go(someone)
            await until(lambda: agree(one, other, third) and watcher.believes is not None)
            assert len(first) == engine.ask("HLEN", names)


async def test_names_that_one_has_oneself_do_not_keep_those_elsewhere_from_being_read(tmp_path: Path) -> None:
    with trio.fail_after(PATIENCE):
        async with engine_server(tmp_path) as engine, presence_nodes(engine.url, 2) as (one, other):
            own, _ = one.crowd(600), other.crowd(500)
            key = "te1:{/}:p"
            await until(lambda: engine.ask("HLEN", key) == 2)
            watcher = one.come(watches=True)
            await until(lambda: watcher.numbers == (1100, 1) and watcher.believes is None)
            presences = one.engine.presences
            assert presences is not None
            elsewhere = await presences.ask("/")
            assert elsewhere.names is not None and len(list(elsewhere.names)) == 500
            # Nobody elsewhere comes or goes, so nothing is pushed and nothing read again.
            for someone in own[:300]:
                one.go(someone)
            await until(lambda: agree(one, other) and watcher.believes is not None)
            reply = engine.ask("EVAL", READ_SCRIPT.decode(), 1, key, MOST_NAMES, one.engine.node.decode())
            assert [node for node, _, _ in reply] == [other.engine.node], "what one has written one knows"


async def test_ten_thousand_that_come_leave_and_die_hold_nobody_up(tmp_path: Path) -> None:
    """They are spread over many rooms, each watched: the worst for a node that has to leave them all out."""
    with trio.fail_after(PATIENCE):
        async with engine_server(tmp_path) as engine, presence_nodes(engine.url, 3) as (one, other, dying):
            rooms = [f"/{number}" for number in range(100)]
            for room in rooms:
                one.come(room=room, watches=True)
                await trio.lowlevel.checkpoint()
            everybody = []
            for room in rooms:
                everybody += dying.crowd(100, room)
                await trio.lowlevel.checkpoint()
            await until(lambda: all(agree(one, other, dying, room=room) for room in rooms))
            began, commands = perf_counter(), _commands(engine)
            for someone in list(everybody):
                dying.go(someone)
            took = perf_counter() - began
            await until(lambda: all(agree(one, other, dying, room=room) for room in rooms))
            assert _commands(engine) - commands < 1000, f"one for each room, not for each member ({took} s)"
            for room in rooms:
                dying.crowd(100, room)
                await trio.lowlevel.checkpoint()
            await until(lambda: all(agree(one, other, dying, room=room) for room in rooms))
            dying.kill()
            steps = Steps("_keep_leaving_out")
            trio.lowlevel.add_instrument(steps)
            await until(lambda: all(agree(one, other, dying, room=room) for room in rooms))
            trio.lowlevel.remove_instrument(steps)
            assert steps.count > 10_000 / 600, "some hundred members at a time, others in between"


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("program", ["redis-server", "valkey-server"])
async def test_at_last_every_watcher_believes_what_is_true(tmp_path: Path, program: str, seed: int) -> None:
    """Whatever happened in any order: members, watchers, cuts, an engine that forgets or is set back."""
    chance = random.Random(seed)
    rooms = ["/", "/a", "/b"]
    with trio.fail_after(PATIENCE):
        async with engine_server(tmp_path, program=program) as engine, presence_nodes(engine.url, 3) as nodes:
            there: list[tuple[PresenceNode, Someone]] = []
            for _ in range(150):
                what = chance.random()
                if what < 0.5 or not there:
                    node, room = chance.choice(nodes), chance.choice(rooms)
                    name = chance.choice([None, "ada", "bo"])
                    there.append((node, node.come(name, room, watches=chance.random() < 0.4)))
                elif what < 0.9:
                    node, someone = there.pop(chance.randrange(len(there)))
                    node.go(someone)
                elif what < 0.93:
                    engine.cut()
                elif what < 0.95:
                    engine.ask("FLUSHALL")
                elif what < 0.96:
                    engine.ask("SAVE")
                elif what < 0.97:
                    engine.kill()  # it goes on with what it saved, if it ever did
                    await engine.start()
                elif what < 0.98:
                    engine.ask("ZREM", NODES, chance.choice(nodes).engine.node.decode())
                else:
                    await trio.sleep(chance.choice([0.0, 0.02, 0.15, 0.3]))
            await until(lambda: all(agree(*nodes, room=room) for room in rooms))


class Steps(trio.abc.Instrument):
    """How many steps tasks have made of a function with this name."""

    def __init__(self, name: str) -> None:
        self.count = 0
        self._name = name

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self.count += task.name.endswith(self._name)


def _message(text: str) -> Batch:
    return Batch(Origin.APPLICATION, frames.encode(text), 1)


def _commands(engine: EngineServer) -> int:
    info: bytes = engine.ask("INFO", "commandstats")
    line = next(line for line in info.splitlines() if line.startswith(b"cmdstat_evalsha"))
    return int(line.partition(b"calls=")[2].partition(b",")[0])
