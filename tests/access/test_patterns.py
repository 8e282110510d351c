"""Which rooms a pattern means: by examples, and against a matcher that tries everything."""

from __future__ import annotations

from time import perf_counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trioecho.access.patterns import PatternError, Patterns

EXAMPLES = [
    ("/news", ["/news"], ["/", "/new", "/news/", "/news/a", "/News", "/xnews"]),
    ("/news/*", ["/news/", "/news/a", "/news/*"], ["/news", "/news/a/b", "/news/a/"]),
    ("/news/**", ["/news/", "/news/a", "/news/a/b", "/news/a/b/"], ["/news", "/newsletter", "/"]),
    ("/**", ["/", "/a", "/a/b", "//"], ["", "a"]),
    ("/*", ["/", "/a"], ["/a/b", "//"]),
    ("/team-*-x", ["/team--x", "/team-a-x", "/team-a-x-x"], ["/team-x", "/team-a/x", "/team-a-x/"]),
    ("/**/log", ["/a/log", "/a/b/log", "//log"], ["/log", "/a/log/b", "/a/xlog"]),
    ("/a/**/b*/c", ["/a/x/b/c", "/a/x/b/b1/c", "/a/b/b/c"], ["/a/b/c", "/a/x/b/x/c/d"]),
    ("/ä*", ["/ä", "/äö"], ["/a"]),
    ("/.+[a]", ["/.+[a]"], ["/xxa", "/.+a"]),
]


@pytest.mark.parametrize(("pattern", "inside", "outside"), EXAMPLES)
def test_what_a_pattern_means(pattern: str, inside: list[str], outside: list[str]) -> None:
    patterns = Patterns([pattern])
    assert [room for room in inside if not patterns.match(room)] == []
    assert [room for room in outside if patterns.match(room)] == []


def naive(pattern: list[str], name: str) -> bool:
    """Try every way to match; the pattern is a list of characters, ``*`` and ``**``."""
    if not pattern:
        return not name
    first, *rest = pattern
    if first == "**":
        return any(naive(rest, name[cut:]) for cut in range(len(name) + 1))
    if first == "*":
        run = len(name.partition("/")[0])
        return any(naive(rest, name[cut:]) for cut in range(run + 1))
    return name[:1] == first and naive(rest, name[1:])


segments = st.one_of(
    st.just("**"), st.lists(st.sampled_from(["a", "b", "*"]), max_size=4).map("".join)
).filter(lambda segment: segment == "**" or "**" not in segment)


@given(
    st.lists(segments, min_size=1, max_size=4),
    st.lists(st.text("ab", max_size=3), min_size=1, max_size=5),
)
def test_a_pattern_means_what_the_slow_and_obvious_way_says(pattern: list[str], name: list[str]) -> None:
    room = "/" + "/".join(name)
    pieces: list[str] = []
    for segment in pattern:
        pieces += ["/", *([segment] if segment == "**" else segment)]
    assert Patterns(["/" + "/".join(pattern)]).match(room) == naive(pieces, room)


def test_a_list_of_patterns_is_all_of_their_rooms() -> None:
    patterns = Patterns(["/a", "/b/*"])
    assert [room for room in ("/a", "/b/x", "/b", "/c") if patterns.match(room)] == ["/a", "/b/x"]
    assert not Patterns([]).match("/a")


@pytest.mark.parametrize(
    "pattern", ["", "weather", "*", "/a**", "/**b/c", "/a***", "/a\n", "/" + "a" * 255, "/ä" * 90]
)
def test_a_pattern_that_cannot_work_is_refused_without_being_repeated(pattern: str) -> None:
    with pytest.raises(PatternError) as caught:
        Patterns([pattern])
    assert len(pattern) < 2 or pattern not in str(caught.value)


def test_a_list_has_a_bound() -> None:
    Patterns(["/a"] * 100)
    with pytest.raises(PatternError, match="at most 100"):
        Patterns(["/a"] * 101)


def test_the_worst_pattern_costs_a_step_a_character() -> None:
    """A backtracking matcher takes 10 ** 20 steps and more for these."""
    worst = Patterns(["/" + "*a" * 127, "/**" * 84 + "/b", "/" + "*" + "/*a*" * 60])
    started = perf_counter()
    assert not worst.match("/" + "a" * 253 + "c")
    assert not worst.match("/a" * 127 + "c")
    assert perf_counter() - started < 0.1
