"""What is large is gzip for those who accept it: the same bytes once it is taken apart, and told caches."""

from __future__ import annotations

import gzip
import json
from urllib.parse import quote

import pytest
from helpers.http_client import asking
from helpers.server import serving
from hypothesis import given
from hypothesis import strategies as st

from trioecho.http.gzip import Joint, Pieces, gzipped
from trioecho.settings import Options

BROWSER = "gzip, deflate, br, zstd"


@pytest.mark.parametrize("path", ["/", "/" + quote("a room's name 'and' <more>"), "/" + "r" * 250])
async def test_the_page(path: str) -> None:
    async with serving() as server, asking(server.url) as peer:
        plain = await peer.ask(path, headers={"Accept": "text/html"})
        small = await peer.ask(path, headers={"Accept": "text/html", "Accept-Encoding": BROWSER})
    assert "content-encoding" not in plain.headers and small.headers["content-encoding"] == "gzip"
    assert gzip.decompress(small.body) == plain.body
    assert plain.headers["vary"] == small.headers["vary"] == "Accept, Accept-Encoding"
    assert len(small.body) < len(plain.body) * 0.4


@pytest.mark.parametrize(
    "accepted", ["", "identity", "br", "gzip;q=0", "gzip;q=0.5, identity;q=0.8", "*;q=0", "gzipped", ";;,,q="]
)
async def test_who_does_not_accept_it_gets_it_plain(accepted: str) -> None:
    async with serving() as server, asking(server.url) as peer:
        page = await peer.ask("/", headers={"Accept": "text/html", "Accept-Encoding": accepted})
    assert "content-encoding" not in page.headers and b"</html>" in page.body


@pytest.mark.parametrize("options", [{"compress": False}, {"no_compress_room": ["/pri*"]}], ids=str)
async def test_where_compression_is_off_it_is_off_here_too(options: Options) -> None:
    async with serving(**options) as server, asking(server.url) as peer:
        page = await peer.ask("/private", headers={"Accept": "text/html", "Accept-Encoding": BROWSER})
    assert "content-encoding" not in page.headers


async def test_metrics() -> None:
    async with serving(metrics=True) as server, asking(server.url) as peer:
        small = await peer.ask("/metrics", headers={"Accept-Encoding": "gzip"})
        again = await peer.ask("/metrics", headers={"Accept-Encoding": "gzip"})
    assert small.headers["content-encoding"] == "gzip"
    assert small.headers["vary"] == "Accept, Accept-Encoding"
    assert b"trioecho_contexts_begun_total 0.0" in gzip.decompress(small.body)
    assert again.headers["content-encoding"] == "gzip"


@given(before=st.binary(max_size=400), between=st.binary(max_size=100_000), after=st.binary(max_size=400))
def test_what_is_joined_is_one_file(before: bytes, between: bytes, after: bytes) -> None:
    assert gzip.decompress(Joint(before, after).around(between)) == before + between + after


@given(pieces=st.lists(st.binary(min_size=1, max_size=100_000), min_size=1, max_size=5))
def test_what_is_compressed_in_pieces_is_one_file(pieces: list[bytes]) -> None:
    whole = Pieces()
    parts = [*map(whole.add, pieces), whole.end()]
    assert gzip.decompress(b"".join(parts)) == b"".join(pieces)


def without_times(lines: bytes) -> list[dict[str, object]]:
    """Return what stands in lines of JSON but when it was said, which is worked out anew each time."""
    return [{**json.loads(line), "time": None} for line in lines.splitlines()]


async def test_recent_messages() -> None:
    """Those that fit into one piece, and those that come in many; some are too few to be compressed."""
    lines = {"Accept": "application/x-ndjson"}
    async with serving(history_bytes=2**20) as server, asking(server.url) as peer:
        for count, streamed in ((1, False), (4, False), (69, True)):
            for number in range(count):
                await server.server.hub.publish("/", f"number {number}: {300 * 'so it goes '}")
            query = f"/?last={count}"
            plain = await peer.ask(query, headers={**lines, "Accept-Encoding": "identity"})
            small = await peer.ask(query, headers={**lines, "Accept-Encoding": BROWSER})
            assert ("transfer-encoding" in small.headers) == streamed
            assert small.headers["content-encoding"] == "gzip" and "content-encoding" not in plain.headers
            assert plain.headers["vary"] == small.headers["vary"] == "Accept, Accept-Encoding"
            assert plain.headers["trioecho-place"] == small.headers["trioecho-place"]
            assert without_times(gzip.decompress(small.body)) == without_times(plain.body)
            assert plain.body.count(b"\n") == count
            assert len(small.body) < len(plain.body) / 10
        await server.server.hub.publish("/", "little")
        little = await peer.ask("/?last=1", headers={**lines, "Accept-Encoding": BROWSER})
        assert "content-encoding" not in little.headers and b"little" in little.body
        head = await peer.ask(f"/?last={count}", method="HEAD", headers={**lines, "Accept-Encoding": BROWSER})
        assert (head.headers["content-encoding"], head.body) == ("gzip", b"")
        assert (await peer.ask("/", headers=lines)).status == 200  # nothing was sent that was not to be


@pytest.mark.parametrize("size", [0, 1, 64 * 1024, 300_000])
async def test_any_size(size: int) -> None:
    body = bytes(number % 251 for number in range(size))
    assert gzip.decompress(await gzipped(body)) == body
