"""What a node keeps to write who is in its rooms: what is to be said, one change of each at a time."""

from __future__ import annotations

import signal
from pathlib import Path

import trio
from helpers.engine_server import EngineServer, engine_server
from helpers.presence_nodes import agree, presence_nodes, until

from trioecho.engine.presence import Presences
from trioecho.rooms.elsewhere import Remote
from trioecho.rooms.presence import MOST_NAMES

ADA = Remote("1a", "ada")


async def test_rooms_that_end_while_the_engine_is_away_leave_nothing() -> None:
    presences = Presences("te1", b"node")
    for number in range(100):
        room = presences.open(f"/{number}")
        room.came(ADA)
        if number % 2:
            room.left(ADA)
            room.close()
        else:  # a room that fails lets its members go later
            room.close()
            room.left(ADA)
    assert len(presences) == 0
    # However many were there, the engine has not heard of any.
    room = presences.open("/many")
    crowd = [Remote(f"{number}x", "n") for number in range(MOST_NAMES + 1)]
    for member in crowd:
        room.came(member)
    for member in crowd:
        room.left(member)
    room.close()
    assert len(presences) == 0


async def test_a_room_that_is_over_does_not_take_the_next_of_its_name_along() -> None:
    presences = Presences("te1", b"node")
    first = presences.open("/")
    first.close()
    second = presences.open("/")
    assert second is not first
    presences.closed(first)
    assert presences.open("/") is second


async def test_changes_that_a_slow_engine_does_not_answer_are_gathered(tmp_path: Path) -> None:
    with trio.fail_after(90):
        async with engine_server(tmp_path) as engine, presence_nodes(engine.url, 2) as (one, other):
            rooms = [f"/{number}" for number in range(10)]
            for room in rooms:
                one.come("ada", room)
                other.come("bo", room, watches=True)
            await until(lambda: all(agree(one, other, room=room) for room in rooms))
            before, connects = written(engine), one.engine.connects
            engine.signal(signal.SIGSTOP)
            try:
                for _ in range(12):
                    some = [one.come("cy", room) for room in rooms]
                    await trio.sleep(0.13)  # longer than changes are gathered, and all less than a loss
                    for someone in some[1:]:
                        one.go(someone)
            finally:
                engine.signal(signal.SIGCONT)
            await until(lambda: all(agree(one, other, room=room) for room in rooms))
            if one.engine.connects == connects:  # a busy machine may have taken it for lost
                assert written(engine) - before <= 4 * len(rooms)


def written(engine: EngineServer) -> int:
    """How many changes were written that were some."""
    info: bytes = engine.ask("INFO", "commandstats")
    line = next(line for line in info.splitlines() if line.startswith(b"cmdstat_publish"))
    return int(line.partition(b"calls=")[2].partition(b",")[0])
