"""Which rooms a node keeps to write who is in them: those of which something is to be said, and no others."""

from __future__ import annotations

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
