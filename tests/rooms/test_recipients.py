"""Who gets what: the plain decision, against a model that does it the slow and obvious way."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from trioecho.protocol import frames
from trioecho.rooms.batch import Batch, Origin
from trioecho.rooms.recipients import recipients_of
from trioecho.settings import Audience

MEMBERS = ["Ada", "Bo", "Cy", "never says a word"]

# Batches from members, from somebody who has left, from the application and from another node.
batches = st.lists(
    st.tuples(
        st.sampled_from([*MEMBERS[:3], "gone", Origin.APPLICATION, Origin.ELSEWHERE]),
        st.lists(st.text(max_size=3) | st.just(3000 * "x"), max_size=3),
    ),
    min_size=1,
    max_size=8,
)


def should_get(member: str, sender: object, to: Audience) -> bool:
    if sender is Origin.APPLICATION or to == "everyone":
        return True
    return (sender == member) == (to == "sender")


@given(batches, st.sampled_from(["others", "everyone", "sender"]))
def test_everybody_gets_what_is_theirs_in_the_order_of_arrival(
    said: list[tuple[object, list[str]]], to: Audience
) -> None:
    taken = [Batch(who, b"".join(map(frames.encode, texts)), len(texts)) for who, texts in said]
    everything, apart = recipients_of(taken, to)
    for member in MEMBERS:
        theirs = [text for who, texts in said if should_get(member, who, to) for text in texts]
        batch = apart.get(member, everything)
        assert ([] if batch is None else list(frames.messages(batch.frames))) == theirs
        assert (0 if batch is None else batch.count) == len(theirs)
