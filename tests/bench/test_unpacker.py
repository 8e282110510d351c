"""The load generator inflates what a server compressed, once for all who got the same bytes."""

from __future__ import annotations

import itertools
import zlib

import pytest
import trio
from helpers.json_messages import messages
from helpers.server_process import running
from hypothesis import given
from hypothesis import strategies as st

from trioecho.bench.load import Load
from trioecho.bench.plan import Plan
from trioecho.bench.report import Report
from trioecho.bench.target import Target
from trioecho.bench.unpacker import Point, Unpacker
from trioecho.protocol.deflate import RSV1, TAIL
from trioecho.protocol.frames import BINARY, BadFrame, header

FEED = [text.encode() for text in messages("telemetry", 480, 30)]
PING = b"\x89\x04ping"


def frame(first: int, payload: bytes) -> bytes:
    return header(first, len(payload)) + payload


def sent(feed: list[bytes], *, level: int = 3, keeps: bool = True) -> bytes:
    """What a server sends: compressed messages, some in two fragments, with a ping after each second one."""
    wire, using = b"", zlib.compressobj(level, wbits=-15)
    for number, message in enumerate(feed):
        if not keeps:
            using = zlib.compressobj(level, wbits=-15)
        data = (using.compress(message) + using.flush(zlib.Z_SYNC_FLUSH)).removesuffix(TAIL)
        if number % 3:
            wire += frame(BINARY | RSV1, data)
        else:
            wire += frame(BINARY & 0x7F | RSV1, data[:10]) + PING + frame(0x80, data[10:])
        wire += PING * (number % 2)
    return wire


def received(plain: bytes) -> list[bytes]:
    """The messages in plain frames."""
    found, at, parts = [], 0, b""
    while at < len(plain):
        first, size, at = plain[at], plain[at + 1], at + 2
        if size == 126:
            size, at = int.from_bytes(plain[at : at + 2], "big"), at + 2
        if not first & 0x08:
            parts += plain[at : at + size]
            if first & 0x80:
                found.append(parts)
                parts = b""
        at += size
    return found


def in_parts(unpacker: Unpacker, wire: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(cut % (len(wire) + 1) for cut in cuts), len(wire)]
    plain = b"".join(unpacker.plain(wire[a:b]) for a, b in itertools.pairwise(edges))
    assert unpacker.received == len(wire)
    return received(plain)


@given(
    feed=st.lists(st.sampled_from(FEED) | st.binary(max_size=50), max_size=12),
    receivers=st.lists(st.lists(st.integers(0, 5000), max_size=5), min_size=1, max_size=4),
    keeps=st.booleans(),
)
def test_however_it_is_cut_everybody_has_it_all(
    feed: list[bytes], receivers: list[list[int]], keeps: bool
) -> None:
    start = Point(keeps_past=keeps)
    for cuts in receivers:
        assert in_parts(Unpacker(start), sent(feed, keeps=keeps), cuts) == feed
    # One for whom the server has compressed it in another way.
    assert in_parts(Unpacker(start), sent(feed, level=9, keeps=keeps), [7]) == feed


@pytest.mark.parametrize(
    ("wire", "said"),
    [
        (frame(BINARY | RSV1, b"\xff\xff"), "a message that is no valid deflate"),
        (frame(BINARY | RSV1, b"\x03\x00"), "a message that cannot be inflated"),
        (frame(0x89 | RSV1, b""), "a compressed control frame"),
        (frame(0x80 | RSV1, b""), "a compressed continuation"),
        (frame(BINARY | 0x20, b""), "a frame with reserved bits"),
    ],
)
def test_what_is_wrong_is_said(wire: bytes, said: str) -> None:
    with pytest.raises(BadFrame, match=said):
        Unpacker(Point(keeps_past=True)).plain(wire)


@pytest.mark.parametrize("options", [[], ["--no-compress"]], ids=str)
async def test_a_run_with_compression_checks_every_message(options: list[str]) -> None:
    plan = Plan(subscribers=6, publishers=2, size=300, duration=0.2, warmup=0.05, window=8, lines="feed.txt")
    async with running(*options) as server:
        load = Load(plan, Target.parse(server.url, compress=True), FEED)
        await trio.to_thread.run_sync(load.run)
    report = Report(load)
    assert not report.problems and report.deliveries
    figures = report.figures()
    assert figures["compressed_connections"] == (0 if options else 8)
    assert (figures["bytes_per_delivery"] < 290) is not bool(options)
