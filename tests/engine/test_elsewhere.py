"""What a node believes of the others in one room, by pushes and by reading."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trioecho.engine.elsewhere import Elsewhere, Heard, Said, parse_names, parse_push, parse_said
from trioecho.engine.nodes import DEAD_SECONDS, Nodes
from trioecho.rooms.elsewhere import Named, Remote
from trioecho.rooms.presence import MOST_NAMES

ADA, BO = (Remote(f"id{name}", name) for name in ("ada", "bo"))


class Follower:
    """Somebody who believes what a listener is told."""

    def __init__(self) -> None:
        self.believes: dict[str, str | None] | None = {}
        self.renewed = 0
        self.view = Elsewhere(self)

    def came(self, member: Named) -> None:
        if self.believes is not None:
            assert member.id not in self.believes
            self.believes[member.id] = member.name

    def left(self, member: Named) -> None:
        if self.believes is not None:
            del self.believes[member.id]

    def recount(self) -> None:
        pass

    def renew(self) -> None:
        self.renewed += 1
        self.believes = None

    @property
    def knows(self) -> dict[str, str] | None:
        """Who is there, as the view has it; a follower that was to look anew does so."""
        names = self.view.names
        known = None if names is None else {one.id: one.name for one in names}
        if self.believes is None:
            self.believes = None if known is None else dict(known)
        return known


def named(*members: Remote) -> dict[str, Remote]:
    return {member.id: member for member in members}


def test_a_push_that_goes_on_is_taken_and_one_that_does_not_asks_for_a_reading() -> None:
    follower = Follower()
    view = follower.view
    assert not view.pushed(parse_push(b"one 0 5 2 1 1\n+idada ada\n+idbo bo\n"))
    assert (view.named, view.unnamed, follower.knows) == (2, 1, {"idada": "ada", "idbo": "bo"})
    assert not view.pushed(parse_push(b"one 5 7 1 1 1\n-idada\n"))
    assert not view.pushed(parse_push(b"one 5 7 1 1 1\n-idada\n")), "it is known already"
    assert follower.believes == {"idbo": "bo"}
    assert view.pushed(parse_push(b"one 8 9 2 1 1\n+idcy cy\n")), "something before it is missing"
    view.read([(b"one", parse_said(b"9 2 1 1"), parse_names([b"idbo", b"bo", b"idcy", b"cy"]))], keep=False)
    assert follower.believes == {"idbo": "bo", "idcy": "cy"} and follower.renewed == 0
    # All that a node has to say takes the place of what it has said, whatever came before.
    assert not view.pushed(parse_push(b"one * 20 1 0 1\n+idada ada x y\n"))
    assert follower.believes == {"idada": "ada x y"} and (view.named, view.unnamed) == (1, 0)


def test_who_is_not_in_what_was_read_is_gone_unless_it_may_still_come() -> None:
    follower = Follower()
    view = follower.view
    view.read(
        [(b"one", Said(1, 1, 0, True), named(ADA)), (b"two", Said(2, 1, 2, True), named(BO))], keep=False
    )
    view.read([(b"two", Said(2, 1, 2, True), named(BO))], keep=True)
    assert view.named == 2
    view.read([(b"two", Said(2, 1, 2, True), named(BO))], keep=False)
    assert (view.named, view.unnamed, follower.believes) == (1, 2, {"idbo": "bo"})
    assert view.drop(b"two") == Said(2, 1, 2, True) and view.drop(b"two") is None
    assert (view.named, view.unnamed, follower.believes, view.nodes) == (0, 0, {}, {})


def test_names_are_known_as_long_as_they_are_few() -> None:
    follower = Follower()
    view = follower.view
    many = named(*[Remote(f"id{number}", "n") for number in range(MOST_NAMES)])
    view.read([(b"one", Said(1, MOST_NAMES, 0, True), many)], keep=False)
    assert follower.knows == {name: "n" for name in many}
    assert not view.pushed(Heard(b"two", 0, Said(1, 1, 0, True), named(ADA), []))
    assert follower.knows is None and follower.renewed and not view.lacks_names
    # Fewer again: they have to be read.
    left = list(many)[: MOST_NAMES // 2]
    assert view.pushed(Heard(b"one", 1, Said(2, MOST_NAMES // 2, 0, True), {}, left))
    # Of a node that lists none there is nothing to read, and none are missing when nobody is named there.
    assert view.pushed(Heard(b"two", 1, Said(3, 0, 1, True), {}, ["idada"])), "those of the first are missing"
    assert not view.pushed(Heard(b"one", 2, Said(3, MOST_NAMES // 2, 0, False), {}, []))
    assert follower.knows is None
    assert not view.pushed(Heard(b"one", 3, Said(4, 0, 1, True), {}, []))
    assert follower.knows == {}


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["change", "rewrite", "lost", "drop", "read"]),
        st.sampled_from([b"one", b"two", b"three"]),
        st.sets(st.sampled_from("abcdefgh")),
    ),
    max_size=40,
)


@settings(max_examples=300, deadline=None)
@given(STEPS)
def test_whatever_is_lost_a_follower_believes_what_was_written(steps: list[tuple[str, bytes, Any]]) -> None:
    """Nodes write, some pushes are lost, and what asks for a reading is read; all that in a few lines."""
    follower, number = Follower(), 0
    written: dict[bytes, tuple[int, set[str]]] = {}
    lost = False

    def read() -> None:
        found = [
            (node, Said(at, len(there), 0, True), named(*[Remote(f"{node!r}{one}", one) for one in there]))
            for node, (at, there) in written.items()
        ]
        follower.view.read(found, keep=False)

    for what, node, there in steps:
        number += 1
        before, was = written.get(node, (0, set()))
        if what == "read":
            read()
            lost = False
        elif what == "drop":
            follower.view.drop(node)
            lost = lost or node in written
        else:
            came = named(
                *[Remote(f"{node!r}{one}", one) for one in (there if what == "rewrite" else there - was)]
            )
            left = [] if what == "rewrite" else [f"{node!r}{one}" for one in was - there]
            heard = Heard(
                node, None if what == "rewrite" else before, Said(number, len(there), 0, True), came, left
            )
            if there:
                written[node] = number, there
            else:
                written.pop(node, None)
            if what == "lost":
                lost = True
            elif follower.view.pushed(heard):
                read()
                lost = False
    if lost:
        read()
    truth = {f"{node!r}{one}": one for node, (_, there) in written.items() for one in there}
    assert follower.knows == follower.believes == truth
    assert follower.view.named == len(truth)


# Which nodes live.


def test_a_node_is_dead_when_the_engine_has_not_heard_it_for_ten_seconds() -> None:
    nodes = Nodes(b"own")
    assert nodes.listed({b"own": 0.0, b"one": 2.0}, 100.0, is_new=False) == set()
    assert b"one" in nodes and b"own" not in nodes
    assert nodes.next_look(100.0) == 103.0
    assert nodes.listed({b"own": 0.0, b"one": 9.0}, 106.0, is_new=False) == set()
    assert 107.0 < nodes.next_look(106.0) < 107.1, "it is looked as soon as it may be dead"
    assert nodes.listed({b"own": 0.0}, 107.1, is_new=False) == {b"one"}
    assert b"one" not in nodes


def test_an_engine_that_has_forgotten_all_nodes_is_given_the_time_to_hear_them_again() -> None:
    nodes = Nodes(b"own")
    nodes.listed({b"one": 0.0, b"two": 0.0}, 100.0, is_new=False)
    assert nodes.listed({b"own": 0.0}, 105.0, is_new=True) == set()
    assert nodes.unsettled_until == 105.0 + DEAD_SECONDS
    assert nodes.listed({b"own": 0.0, b"one": 1.0}, 108.0, is_new=False) == set()
    assert nodes.listed({b"own": 0.0, b"one": 1.0}, 115.1, is_new=False) == {b"two"}
    assert b"one" in nodes


@pytest.mark.parametrize(
    "text", [b"", b"one", b"one 0 5 2 1\n", b"one 0 5 x 1 1\n", b"\xff", b"a 0 5 1 1 1\n\n"]
)
def test_what_is_none_of_ours_is_no_push(text: bytes) -> None:
    with pytest.raises(ValueError):
        parse_push(text)
