"""The inbound step: what came is counted, and a prefix is put before text, for all who publish."""

from __future__ import annotations

from helpers.traffic import messages
from hypothesis import given
from hypothesis import strategies as st

from trioecho.counters import Counters
from trioecho.protocol import frames
from trioecho.sessions.inbound import Inbound
from trioecho.settings import Settings


@given(st.lists(messages, min_size=1, max_size=5), st.text(max_size=5))
def test_a_prefix_stands_before_every_text_and_no_binary(sent: list[str | bytes], prefix: str) -> None:
    counters = Counters()
    encoded = [frames.encode(each) for each in sent]
    taken = Inbound(Settings(prefix=prefix), counters).take(encoded)
    expected = [prefix + each if isinstance(each, str) else each for each in sent]
    assert list(frames.messages(taken)) == expected
    assert counters.bytes_in == len(b"".join(encoded))
