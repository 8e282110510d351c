"""A place: how it is written, and what is none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trioecho.rooms.place import Place, PlaceError, new_epoch, parse_place


@given(st.from_regex("[a-z0-9]{8}", fullmatch=True), st.integers(0, 10**15 - 1))
def test_a_place_is_read_as_it_was_written(epoch: str, offset: int) -> None:
    place = Place(epoch, offset)
    assert parse_place(str(place)) == place
    assert str(Place("k3x9f2aa", 1042)) == "k3x9f2aa-1042"


def test_every_epoch_has_a_name_of_its_own_that_makes_a_place() -> None:
    epochs = {new_epoch() for _ in range(1_000)}
    assert len(epochs) == 1_000
    for epoch in epochs:
        assert parse_place(f"{epoch}-0") == Place(epoch, 0)


WRONG = [
    "",
    "1042",
    "k3x9f2aa",
    "k3x9f2aa-",
    "k3x9f2aa-01",
    "k3x9f2aa--1",
    "k3x9f2aa-+1",
    "k3x9f2aa-1_0",
    "k3x9f2aa-1.0",
    "k3x9f2aa-1 ",
    " k3x9f2aa-1",
    "k3x9f2aa-1\n",
    "K3X9F2AA-1",
    "k3x9f2a-1",
    "k3x9f2aaa-1",
    "k3x9f2aa-٣",
    "k3x9f2aé-1",
    "k3x9f2aa-" + "9" * 30,
    "k3x9f2aa-" + "9" * 1_000_000,
    "\x1b[2J\r\n",
]


@pytest.mark.parametrize("text", WRONG, ids=range(len(WRONG)))
def test_what_is_no_place_is_told_so_in_one_short_sentence(text: str) -> None:
    with pytest.raises(PlaceError) as caught:
        parse_place(text)
    sentence = str(caught.value)
    assert sentence.startswith(
        "a place is 8 letters and digits, a dash and a number, as in k3x9f2aa-1042, not "
    )
    assert len(sentence) < 250
    assert "\n" not in sentence and "\x1b" not in sentence


@given(st.text())
def test_any_text_is_a_place_or_told_so(text: str) -> None:
    try:
        assert str(parse_place(text)) == text
    except PlaceError:
        pass
