"""What each address may have, against a model that forgets nothing; and that the table forgets enough."""

from __future__ import annotations

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from trioecho.access.addresses import AddressTable, OverLimit, address_key
from trioecho.rates import Rate

KEYS = [
    ("192.0.2.1", "192.0.2.1"),
    ("::ffff:192.0.2.1", "192.0.2.1"),
    ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
    ("2001:0db8:0001:0002::", "2001:db8:1:2::/64"),
    ("fe80::1%eth0", "fe80::/64"),
    (None, None),
    ("", None),
    ("unix", None),
    ("/run/a.sock", None),
]


@pytest.mark.parametrize(("host", "key"), KEYS)
def test_what_counts_as_one_address(host: str | None, key: str | None) -> None:
    assert address_key(host) == key


class Naive:
    """Counts in the slow way: everything that ever happened is kept."""

    def __init__(self, most: int, burst: int) -> None:
        self.most, self.burst = most, burst
        self.open: dict[str, int] = {}
        self.level: dict[str, tuple[float, float]] = {}

    def connect(self, host: str, now: float) -> str | None:
        level, at = self.level.get(host, (float(self.burst), now))
        level = min(self.burst, level + (now - at) * 2)
        if self.open.get(host, 0) >= self.most:
            return "address-connections"
        if level < 1:
            return "address-rate"
        self.level[host] = (level - 1, now)
        self.open[host] = self.open.get(host, 0) + 1
        return None


HOSTS = ["192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8:0:1::1"]
steps = st.lists(st.tuples(st.integers(0, 64), st.booleans(), st.sampled_from(HOSTS)), max_size=60)


@given(steps, st.integers(1, 4), st.integers(1, 4))
def test_the_table_decides_as_one_that_forgets_nothing(
    steps: list[tuple[int, bool, str]], most: int, burst: int
) -> None:
    async def main() -> None:
        table, naive = AddressTable(max_connections=most, rate=Rate(2, burst)), Naive(most, burst)
        for ticks, connect, host in steps:
            clock.jump(ticks / 64)
            if connect:
                over = table.connect(host)
                assert (over and over.reason) == naive.connect(host, trio.current_time())
                assert over is None or over.retry_after > 0
            elif naive.open.get(host):
                naive.open[host] -= 1
                table.disconnect(host)
        for host, count in naive.open.items():
            for _ in range(count):
                table.disconnect(host)
        # Everybody has gone and recovered: a few connections later nobody is remembered.
        clock.jump(60)
        for _ in range(3):
            table.connect(None)
        assert len(table) == 0

    clock = MockClock()
    trio.run(main, clock=clock)


async def test_the_wait_that_is_told_lets_in(mock_clock: MockClock) -> None:
    table = AddressTable(rate=Rate(0.5, 1))
    assert table.connect("192.0.2.1") is None
    table.disconnect("192.0.2.1")
    over = table.connect("192.0.2.1")
    assert isinstance(over, OverLimit)
    assert over.retry_after == pytest.approx(2.0)
    mock_clock.jump(over.retry_after)
    assert table.connect("192.0.2.1") is None


async def test_a_flood_of_addresses_is_forgotten_from_the_oldest(mock_clock: MockClock) -> None:
    table = AddressTable(rate=Rate(1, 1), max_idle=100)
    assert table.connect("192.0.2.1") is None  # stays connected
    for number in range(10_000):
        host = f"2001:db8:{number:x}::1"
        assert table.connect(host) is None
        table.disconnect(host)
    assert len(table) == 101
    assert table.connect(f"2001:db8:{9_999:x}::2") is not None
    assert table.connect("2001:db8:0::2") is None
    assert table.connect("192.0.2.1") is not None


async def test_nothing_is_kept_without_a_limit_and_for_what_is_no_address() -> None:
    free, strict = AddressTable(), AddressTable(max_connections=1)
    for _ in range(3):
        assert free.connect("192.0.2.1") is None
        assert strict.connect(None) is None
    assert len(free) == len(strict) == 0
    free.disconnect("192.0.2.1")
    strict.disconnect(None)
    strict.disconnect("192.0.2.9")
