"""Presence: what a watcher was told is who is there, however they come and go and however slow it is."""

from __future__ import annotations

import json
from typing import Any

import pytest
import trio
import trio.testing
from helpers.someone import Someone, crowd, truth
from hypothesis import given, settings
from hypothesis import strategies as st

from trioecho.protocol import frames
from trioecho.rooms.headed import as_headed
from trioecho.rooms.presence import ENOUGH_NAMES, GATHER, MOST_NAMES, Presence, present
from trioecho.rooms.registry import Registry
from trioecho.settings import Settings

A_WHILE = 60
"""More than telling can take on a busy machine: the longer it took, the longer nothing is told."""


async def test_a_watcher_is_told_who_is_there_and_then_what_changes(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    registry = Registry(Settings(), nursery)
    ada = Someone(registry, "ada")
    began = trio.current_time()
    one = Someone(registry, "bo", watches=True)
    nobody = Someone(registry)
    first = await one.outbox.receive()
    assert first is not None and b'"offset":0' in first.encoded(as_headed)
    second = await one.outbox.receive()
    assert trio.current_time() - began == pytest.approx(GATHER)
    assert second is not None
    one.hear(second)
    here = [{"id": ada.id, "name": "ada"}, {"id": one.id, "name": "bo"}]
    assert one.told.pop() == {"named": 2, "unnamed": 1, "here": here}
    # What changes within a tenth of a second is one word, and whoever came and left was never there.
    ada.leave()
    cy = Someone(registry, "cy")
    Someone(registry, "passes by").leave()
    await trio.sleep(A_WHILE)
    await one.take()
    came = [{"id": cy.id, "name": "cy"}]
    assert one.told == [{"named": 2, "unnamed": 1, "came": came, "left": [ada.id]}]
    nobody.leave()
    await trio.sleep(A_WHILE)
    await one.take()
    assert one.told[1:] == [{"named": 2, "unnamed": 0}]
    # What is the same in the end is not told.
    Someone(registry, "passes by").leave()
    await trio.sleep(A_WHILE)
    assert not one.outbox.owes
    nursery.cancel_scope.cancel()


async def test_nothing_is_left_when_nobody_watches(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    registry = Registry(Settings(), nursery)
    ada = Someone(registry, "ada")
    await trio.testing.wait_all_tasks_blocked()
    before = len(nursery.child_tasks)
    one, other = Someone(registry, watches=True), Someone(registry, "bo", watches=True)
    await other.take()
    await trio.testing.wait_all_tasks_blocked()
    assert len(nursery.child_tasks) == before + 1, "one task for all who watch a room"
    one.leave()
    await trio.sleep(A_WHILE)
    await other.take()
    assert other.numbers == (2, 0)
    other.leave()
    await trio.testing.wait_all_tasks_blocked()
    assert len(nursery.child_tasks) == before and ada.room.presence is None
    again = Someone(registry, watches=True)
    await again.take()
    await trio.sleep(A_WHILE)
    await again.take()
    assert again.believes == {ada.id: "ada"}
    again.leave()
    ada.leave()
    await trio.testing.wait_all_tasks_blocked()
    assert not nursery.child_tasks and registry.rooms == {}


STEPS = st.one_of(
    st.tuples(st.sampled_from(["come", "anonymous", "watch", "named watch"]), st.just(0)),
    st.tuples(st.just("leave"), st.integers(0, 20)),
    st.tuples(st.just("say"), st.integers(1, 10)),
    st.tuples(st.just("take"), st.integers(0, 20)),
    st.tuples(st.just("wait"), st.integers(1, 30)),
    st.tuples(st.just("turns"), st.integers(1, 3)),
)


@pytest.mark.parametrize("when_slow", ["drop-oldest", "drop-newest", "wait"])
def test_at_last_every_watcher_believes_what_is_true(when_slow: Any) -> None:
    @settings(deadline=None, max_examples=60)
    @given(st.lists(STEPS, max_size=40))
    def check(script: list[tuple[str, int]]) -> None:
        options = {"when_slow": when_slow, "max_pending_bytes": 700, "max_message_size": 100}
        trio.run(play, script, options, clock=trio.testing.MockClock(autojump_threshold=0))

    check()


async def play(script: list[tuple[str, int]], options: dict[str, Any]) -> None:
    with trio.fail_after(10_000):
        async with trio.open_nursery() as nursery:
            registry = Registry(Settings(stall_limit=5_000, stall_share=1, **options), nursery)
            members: list[Someone] = []
            with registry.hold("/"):
                for number, (step, more) in enumerate(script):
                    if step == "leave" and members:
                        members.pop(more % len(members)).leave()
                    elif step == "take" and members:
                        await members[more % len(members)].take(2)
                    elif step == "wait":
                        await trio.sleep(more / 20)
                    elif step == "turns":
                        for _ in range(more):
                            await trio.lowlevel.checkpoint()
                    elif step == "say":
                        with trio.move_on_after(0.3):  # where all wait for one who reads nothing
                            for _ in range(more):
                                await registry.relay("/", frames.encode("x" * 90))
                    elif step in ("come", "anonymous", "watch", "named watch"):
                        name = f"n{number}" if step in ("come", "named watch") else None
                        members.append(Someone(registry, name, watches="watch" in step))
                for _ in range(20):
                    for member in members:
                        await member.take()
                    await trio.sleep(A_WHILE)
                named, numbers = truth(registry)
                watchers = [member for member in members if member.told or member.outbox.tell]
                for member in watchers:
                    if member.ended is None:
                        assert (member.believes, member.numbers) == (named, numbers)
                        assert not member.outbox.owes
                nursery.cancel_scope.cancel()


async def test_one_that_is_behind_is_told_all_of_it_when_it_has_caught_up(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    registry = Registry(Settings(), nursery)
    slow, quick = (Someone(registry, name, watches=True) for name in ("slow", "quick"))
    await slow.take()
    await trio.sleep(A_WHILE)
    await quick.take()
    await slow.take()
    await registry.relay("/", frames.encode("a message that it does not take"))
    await trio.testing.wait_all_tasks_blocked()
    pending = slow.outbox.pending_bytes
    for number in range(10):
        with crowd(registry, 5, number):
            await trio.sleep(A_WHILE)
            await quick.take()
    assert len(quick.told) > 5
    assert slow.outbox.pending_bytes == pending > 0, "nothing is queued for one that is behind"
    await slow.take()
    for watcher in (slow, quick):
        await trio.sleep(A_WHILE)
        await watcher.take()
    assert [*slow.told[-1]] == ["named", "unnamed", "here"] and slow.believes == quick.believes
    nursery.cancel_scope.cancel()


async def test_what_a_dropping_policy_took_is_told_again(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    options: Any = {"when_slow": "drop-oldest", "max_pending_bytes": 1000, "max_message_size": 1000}
    registry = Registry(Settings(**options), nursery)
    one = Someone(registry, "ada", watches=True)
    await one.take()
    await trio.sleep(A_WHILE)
    assert one.outbox.pending_bytes, "the news wait to be taken"
    await registry.relay("/", frames.encode("x" * 900))
    await trio.testing.wait_all_tasks_blocked()
    await one.take()
    assert one.heard == 1 and not one.told
    await trio.sleep(A_WHILE)
    await one.take()
    assert one.believes == {one.id: "ada"}
    nursery.cancel_scope.cancel()


async def test_of_too_many_names_only_the_number_is_told(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    registry = Registry(Settings(), nursery)
    one = Someone(registry, watches=True)

    async def told() -> list[dict[str, Any]]:
        await one.take()
        await trio.sleep(A_WHILE)
        await one.take()
        news, one.told = one.told, []
        return news

    with crowd(registry, MOST_NAMES) as members:
        (news,) = await told()
        assert len(news["here"]) == MOST_NAMES
        assert present(registry.room("/"))["here"] == news["here"]
        more = Someone(registry, "one too many")
        assert await told() == [{"named": MOST_NAMES + 1, "unnamed": 1, "here": None}]
        assert present(registry.room("/")) == {"named": MOST_NAMES + 1, "unnamed": 1, "here": None}
        # Around the bound the list does not come back with everyone who leaves.
        more.leave()
        assert await told() == [{"named": MOST_NAMES, "unnamed": 1}]
        for member in members[ENOUGH_NAMES:]:
            member.leave()
        (news,) = await told()
        assert [each["name"] for each in news["here"]] == [f"n{number}" for number in range(ENOUGH_NAMES)]
    nursery.cancel_scope.cancel()


async def test_ten_thousand_that_come_and_go_cost_a_watcher_little(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    registry = Registry(Settings(), nursery)
    watchers = [Someone(registry, watches=True) for _ in range(50)]
    for watcher in watchers:
        await watcher.take()
    await trio.sleep(A_WHILE)
    began, size = trio.current_time(), 0
    for _ in range(10):
        with crowd(registry, 1_000):
            await trio.sleep(0.5)
            for watcher in watchers:
                size += await watcher.take()
    # Not a word for each who came: at most one in a tenth of a second, and none longer than the whole list.
    for watcher in watchers:
        assert len(watcher.told) <= (trio.current_time() - began) / GATHER + 1
    await trio.sleep(A_WHILE)
    for watcher in watchers:
        await watcher.take()
        assert watcher.believes == {}
    longest = len(json.dumps([{"id": "id123456", "name": "n1234"}])) * 2 * MOST_NAMES
    assert size / len(watchers) < longest * 25
    nursery.cancel_scope.cancel()


async def test_nobody_is_told_where_presence_is_off(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    registry = Registry(Settings(presence=False), nursery)
    one, _ = Someone(registry, watches=True), Someone(registry, "ada")
    await one.take()
    await trio.sleep(A_WHILE)
    assert not one.outbox.owes and not one.told
    assert one.room.presence is None and not one.room.named
    nursery.cancel_scope.cancel()


async def test_if_telling_fails_the_room_goes_on(
    nursery: trio.Nursery,
    autojump_clock: trio.testing.MockClock,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(presence: Presence) -> None:
        raise RuntimeError("broken")

    registry = Registry(Settings(), nursery)
    with monkeypatch.context() as broken:
        broken.setattr(Presence, "_take", fail)
        one = Someone(registry, watches=True)
        await trio.sleep(A_WHILE)
    assert "telling who is in room '/' failed" in caplog.text
    assert await registry.relay("/", frames.encode("still here")) == 1
    await trio.testing.wait_all_tasks_blocked()
    await one.take()
    assert one.heard == 1
    # Whoever asks now is told again.
    other = Someone(registry, "bo", watches=True)
    await other.take()
    await trio.sleep(A_WHILE)
    await other.take()
    assert other.believes == {other.id: "bo"}
    nursery.cancel_scope.cancel()
