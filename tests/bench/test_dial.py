"""Handshakes with a server that does not take them, or not at once."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from trioecho.bench import dial
from trioecho.bench.dial import Dialler, Route
from trioecho.bench.handshake import DialError
from trioecho.bench.sources import Sources
from trioecho.bench.target import Target


@contextmanager
def full(path: Path) -> Iterator[tuple[socket.socket, Dialler]]:
    """A listener whose queue is full, with the only connection in it, and two more that want in."""
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as first:
        listener.bind(str(path))
        listener.listen(0)
        first.connect(str(path))
        target = Target.parse(f"ws+unix:{path}:/")
        route = Route(target, socket.AF_UNIX, str(path), Sources((), 2))
        with Dialler(route, ["/", "/"], at_once=2) as dialler:
            yield listener, dialler


def test_a_full_queue_costs_no_more_than_its_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dial, "TIMEOUT", 1.0)
    with full(tmp_path / "a.sock") as (_, dialler):
        began, used = time.monotonic(), time.thread_time()
        made = list(dialler.run())
        assert time.thread_time() - used < 0.2
        assert time.monotonic() - began < 1.9
    assert [number for number, _ in made] == [0, 1]
    assert all(isinstance(result, DialError) for _, result in made)


def test_a_queue_that_has_room_again_is_joined(tmp_path: Path) -> None:
    with full(tmp_path / "a.sock") as (listener, dialler):
        listener.settimeout(30)
        dialler.step()
        for _ in range(3):
            listener.accept()[0].close()
            dialler.step()
        made = [*dialler.run(), *dialler.taken()]
    assert {number for number, _ in made} == {0, 1}
    assert not any("left a handshake waiting" in str(result) for _, result in made)
