"""Who was slow lately is known by address and by name, for a while, and of so many."""

from __future__ import annotations

from trio.testing import MockClock

from trioecho.access.slow_history import SlowHistory


async def test_one_is_known_by_address_or_by_name() -> None:
    history = SlowHistory()
    history.remember(host="2001:db8::1", name="eve")
    assert history.was_slow(host="2001:db8::2", name=None)
    assert history.was_slow(host="192.0.2.1", name="eve")
    assert not history.was_slow(host="192.0.2.1", name="ada")
    assert not history.was_slow(host="2001:db8:0:1::1", name=None)


async def test_what_has_neither_is_not_remembered() -> None:
    history = SlowHistory()
    history.remember(host=None, name=None)
    assert len(history) == 0
    assert not history.was_slow(host=None, name=None)


async def test_an_address_is_no_name() -> None:
    history = SlowHistory()
    history.remember(host="192.0.2.1", name=None)
    assert not history.was_slow(host=None, name="192.0.2.1")


async def test_it_is_forgotten_after_a_while(mock_clock: MockClock) -> None:
    history = SlowHistory(keep=60)
    history.remember(host="192.0.2.1", name="eve")
    mock_clock.jump(59)
    history.remember(host="192.0.2.1", name=None)
    mock_clock.jump(2)
    assert history.was_slow(host="192.0.2.1", name=None)
    assert not history.was_slow(host=None, name="eve")
    history.remember(host=None, name="bo")
    assert len(history) == 2
    mock_clock.jump(60)
    history.remember(host=None, name=None)
    assert len(history) == 0


async def test_the_oldest_are_forgotten_when_there_are_too_many(mock_clock: MockClock) -> None:
    history = SlowHistory(max_entries=10)
    for number in range(1000):
        history.remember(host=None, name=f"n{number}")
        history.remember(host=None, name="again")
        assert len(history) <= 10
    assert history.was_slow(host=None, name="again")
    assert history.was_slow(host=None, name="n999")
    assert not history.was_slow(host=None, name="n900")
