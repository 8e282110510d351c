"""Who may do what where, and that an identity or a refusal which can't be right is never made."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trioecho.access.identity import ANYONE, Identity, Refusal
from trioecho.options import OptionError

RIGHTS: dict[bool | tuple[str, ...], set[str]] = {
    True: {"/", "/a", "/a/b"},
    False: set(),
    ("/a",): {"/a"},
    ("/a", "/*/b"): {"/a", "/a/b"},
    (): set(),
}
ROOMS: dict[tuple[str, ...], set[str]] = {("/**",): {"/", "/a", "/a/b"}, ("/a", "/c"): {"/a"}, (): set()}


@given(st.sampled_from(list(RIGHTS)), st.sampled_from(list(RIGHTS)), st.sampled_from(list(ROOMS)))
def test_a_right_holds_where_it_and_the_rooms_say_so(
    publish: bool | tuple[str, ...], subscribe: bool | tuple[str, ...], rooms: tuple[str, ...]
) -> None:
    identity = Identity("ada", publish=publish, subscribe=subscribe, rooms=rooms)
    for room in ("/", "/a", "/a/b"):
        assert identity.may_publish(room) == (room in RIGHTS[publish] & ROOMS[rooms])
        assert identity.may_subscribe(room) == (room in RIGHTS[subscribe] & ROOMS[rooms])


def test_anyone_may_do_everything_for_ever() -> None:
    assert ANYONE.name is None
    assert ANYONE.expires_at is None
    assert ANYONE.may_publish("/any/where")
    assert ANYONE.may_subscribe("/")


def test_identities_are_values() -> None:
    ada = Identity("ada", publish=["/a"], rooms=("/a",), expires_at=5)
    assert ada == Identity("ada", publish=("/a",), rooms=["/a"], expires_at=5)
    assert hash(ada) == hash(Identity("ada", publish="/a", rooms="/a", expires_at=5))
    assert ada != Identity("ada")
    assert repr(Identity("ada")).startswith("Identity(name='ada', publish=True,")
    with pytest.raises(AttributeError):
        ada.name = "eve"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("name", ""),
        ("name", "two\nlines"),
        ("name", "\ud800"),
        ("name", "ä" * 128),
        ("name", 5),
        ("publish", ["news"]),
        ("publish", None),
        ("publish", 1),
        ("subscribe", [True]),
        ("rooms", True),
        ("rooms", ["/a**"]),
        ("expires_at", float("nan")),
        ("expires_at", "soon"),
        ("expires_at", True),
    ],
)
def test_an_identity_that_cannot_be_is_not_made(option: str, value: Any) -> None:
    with pytest.raises(OptionError) as caught:
        Identity(**{option: value})
    assert caught.value.option == option


@pytest.mark.parametrize(
    ("option", "arguments"),
    [
        ("status", (200, "Fine.")),
        ("status", ("403", "No.")),
        ("text", (403, "")),
        ("text", (403, "two\r\nlines")),
        ("headers", (403, "No.", (("X", "a\r\nSet-Cookie: b"),))),
        ("headers", (403, "No.", (("", "a"),))),
    ],
)
def test_a_refusal_that_cannot_be_sent_is_not_made(option: str, arguments: Any) -> None:
    with pytest.raises(OptionError) as caught:
        Refusal(*arguments)
    assert caught.value.option == option
