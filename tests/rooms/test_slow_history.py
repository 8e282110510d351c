"""Who was slow lately is known by address and by name, for a while, and of so many."""

from __future__ import annotations

from trio.testing import MockClock

from trioecho.rooms.slow_history import SlowHistory


async def test_one_is_known_by_address_or_by_name() -> None:
    history = SlowHistory()
    history.remember(("192.0.2.2", "eve"))
    assert history.was_slow(("192.0.2.2", None))
    assert history.was_slow(("192.0.2.1", "eve"))
    assert not history.was_slow(("192.0.2.1", "ada"))


async def test_what_has_neither_is_not_remembered() -> None:
    history = SlowHistory()
    history.remember((None, None))
    assert len(history) == 0
    assert not history.was_slow((None, None))


async def test_an_address_is_no_name() -> None:
    history = SlowHistory()
    history.remember(("192.0.2.1", None))
    assert not history.was_slow((None, "192.0.2.1"))


async def test_it_is_forgotten_after_a_while(mock_clock: MockClock) -> None:
    history = SlowHistory(keep=60)
    history.remember(("192.0.2.1", "eve"))
    mock_clock.jump(59)
    history.remember(("192.0.2.1", None))
    mock_clock.jump(2)
    assert history.was_slow(("192.0.2.1", None))
    assert not history.was_slow((None, "eve"))
    history.remember((None, "bo"))
    assert len(history) == 2
    mock_clock.jump(60)
    history.remember((None, None))
    assert len(history) == 0


async def test_the_oldest_are_forgotten_when_there_are_too_many(mock_clock: MockClock) -> None:
    history = SlowHistory(max_entries=10)
    for number in range(1000):
        history.remember((None, f"n{number}"))
        history.remember((None, "again"))
        assert len(history) <= 10
    assert history.was_slow((None, "again"))
    assert history.was_slow((None, "n999"))
    assert not history.was_slow((None, "n900"))
