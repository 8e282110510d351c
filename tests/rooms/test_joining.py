"""
Joining at any place, at any moment, against a model: the lists of all that a room has said in each epoch.

Several members come and go, each with a place of its own: of this epoch, of one before the server started
again, or beyond the end. Whatever happens meanwhile, what each hears is where it says, in order and once, and
with what it was told is missing it adds up to all that was said since.
"""

from __future__ import annotations

from typing import Any

import pytest
import trio
import trio.testing
from helpers.taker import Taker
from hypothesis import given, settings
from hypothesis import strategies as st

from trioecho.protocol import frames
from trioecho.rooms.place import Place
from trioecho.rooms.registry import Registry
from trioecho.rooms.since import Since
from trioecho.settings import Settings

BOUNDS = {"max_pending_bytes": 2_000, "max_message_size": 200, "history_age": 10}

STEPS = st.one_of(
    st.tuples(st.just("say"), st.integers(1, 15), st.just(0)),
    st.tuples(st.just("say at once"), st.integers(1, 15), st.just(0)),
    st.tuples(st.just("join"), st.integers(0, 40), st.integers(0, 2)),
    st.tuples(st.just("join near the end"), st.integers(0, 6), st.just(0)),
    st.tuples(st.just("take"), st.integers(0, 3), st.integers(1, 4)),
    st.tuples(st.just("leave"), st.integers(0, 3), st.just(0)),
    st.tuples(st.just("turns"), st.integers(1, 3), st.just(0)),
    st.tuples(st.just("wait"), st.integers(1, 80), st.just(0)),
    st.tuples(st.just("restart"), st.just(0), st.just(0)),
)


class Joined(Taker):
    """A member, and what holds for it by the model."""

    def __init__(self, registry: Registry, place: Place) -> None:
        room = registry.room("/")
        assert room is not None
        self.history = room.history
        self.begins = place.offset if self.history.knows(place) else None
        super().__init__(registry, "/", Since(place))

    def check(self, said: list[str], *, to_the_end: bool) -> None:
        """Hold what it heard against all that its epoch has said."""
        for text, number in zip(self.heard, self.numbers, strict=True):
            assert text == said[number - 1], "it is where it says"
        assert self.numbers == sorted(set(self.numbers)), "in order, and once"
        if self.missed:
            assert (self.missed[0] is None) == (self.begins is None)
            assert None not in self.missed[1:]
        if to_the_end:
            assert self.place == Place(self.history.epoch, len(said))
            if self.begins is not None:
                assert len(self.heard) + sum(each or 0 for each in self.missed) == len(said) - self.begins


@pytest.mark.parametrize("when_slow", ["drop-oldest", "drop-newest", "wait"])
def test_whoever_joins_anywhere_gets_what_follows_or_is_told_exactly(when_slow: Any) -> None:
    @settings(deadline=None, max_examples=100)
    @given(
        st.lists(STEPS, max_size=50), st.sampled_from([(0, 4_000), (3, 4_000), (20, 4_000), (1000, 40_000)])
    )
    def check(script: list[tuple[str, int, int]], history: tuple[int, int]) -> None:
        options: Any = {**BOUNDS, "when_slow": when_slow, "history": history[0], "history_bytes": history[1]}
        script = [("say", 25, 0), *script]
        trio.run(play, script, options, clock=trio.testing.MockClock(autojump_threshold=0))

    check()


async def play(script: list[tuple[str, int, int]], options: Any) -> None:
    """Play a script, one server after another, and check everybody."""
    old: list[str] = ["zzzzzzzz"]
    rest = script
    with trio.fail_after(100_000):
        while rest:
            number = next((at for at, step in enumerate(rest) if step[0] == "restart"), len(rest))
            async with trio.open_nursery() as nursery:
                old.append(await serve_once(rest[:number], options, old, nursery))
                nursery.cancel_scope.cancel()
            rest = rest[number + 1 :]


async def serve_once(
    script: list[tuple[str, int, int]], options: Any, old: list[str], nursery: trio.Nursery
) -> str:
    """Play what happens in one server's life; return the name of its epoch."""
    registry = Registry(Settings(**options), nursery)
    said: list[str] = []
    here: list[Joined] = []
    with registry.hold("/") as room:
        epoch = room.history.epoch
        for step, count, more in script:
            if step.startswith("say"):
                async with trio.open_nursery() as saying:
                    for _ in range(count):
                        text = f"{len(said)} ".ljust(10 + len(said) * 37 % 150, "x")
                        said.append(text)
                        if step == "say":
                            await registry.relay("/", frames.encode(text))
                    if step == "say at once":
                        saying.start_soon(say, registry, said[-count:])
                        await trio.lowlevel.checkpoint()
            elif step == "join":
                here.append(Joined(registry, Place([epoch, epoch, old[-1]][more], count)))
            elif step == "join near the end":
                here.append(Joined(registry, Place(epoch, max(0, room.history.offset - count))))
            elif step == "take" and here:
                await here[count % len(here)].take(more)
            elif step == "leave" and here:
                gone = here.pop(count % len(here))
                gone.leave()
                gone.check(said, to_the_end=False)
            elif step == "turns":
                for _ in range(count):
                    await trio.lowlevel.checkpoint()
            elif step == "wait":
                await trio.sleep(count / 10)
        for member in here:
            for _ in range(2):
                await trio.testing.wait_all_tasks_blocked()
                while member.outbox.owes:
                    await member.take(1)
                    await trio.testing.wait_all_tasks_blocked()
        for member in here:
            while member.outbox.owes:  # what came while others took theirs
                await member.take(1)
                await trio.testing.wait_all_tasks_blocked()
            member.check(said, to_the_end=member.ended is None)
            member.leave()
    return epoch


async def say(registry: Registry, texts: list[str]) -> None:
    """Say several things one after another, while others do something else."""
    for text in texts:
        await registry.relay("/", frames.encode(text))
