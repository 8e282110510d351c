"""Which pages are let in."""

from __future__ import annotations

import pytest
from helpers.asked import asked

from trioecho.access.origins import Origins
from trioecho.options import OptionError


def let_in(origins: Origins, origin: str, host: str | None = "api.example.com") -> bool:
    refusal = origins.check(asked("/room", ("origin", origin), host=host))
    if refusal is not None:
        assert refusal.status == 403
        assert "--origin" in refusal.text
        assert not origin or origin not in refusal.text
    return refusal is None


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("https://example.com", "example.com"),
        ("http://example.com", "example.com"),
        ("https://example.com", "example.com:443"),
        ("http://example.com:80", "example.com"),
        ("http://EXAMPLE.com", "Example.COM."),
        ("http://localhost:8765", "localhost:8765"),
        ("http://[::1]:8765", "[0::1]:8765"),
        ("http://127.0.0.1:8765", "127.0.0.1:8765"),
    ],
)
def test_by_default_a_page_of_the_host_that_is_asked_for_is_let_in(origin: str, host: str) -> None:
    assert let_in(Origins(), origin, host)
    assert let_in(Origins([]), origin, host)


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("https://evil.example", "example.com"),
        ("https://sub.example.com", "example.com"),
        ("https://example.com.evil.example", "example.com"),
        ("https://example.com:8443", "example.com"),
        ("https://example.com", "example.com:80"),
        ("https://example.com@evil.example", "example.com"),
        ("http://localhost:3000", "localhost:8765"),
        ("http://example.com", None),
        ("http://example.com", "not a host"),
        ("null", "null"),
        ("", "example.com"),
        ("example.com", "example.com"),
        ("https://example.com/", "example.com"),
        ("https://example.com:0", "example.com:0"),
        ("https://" + "a" * 5000, "a" * 5000),
    ],
)
def test_by_default_other_pages_are_refused(origin: str, host: str | None) -> None:
    assert not let_in(Origins(), origin, host)


def test_a_client_without_an_origin_is_let_in() -> None:
    assert Origins().check(asked()) is None
    assert Origins(["https://example.com"]).check(asked()) is None


def test_two_origins_are_no_origin() -> None:
    own = ("origin", "https://example.com")
    assert Origins().check(asked("/", own, own, host="example.com")) is not None


def test_an_exact_origin_is_compared_with_its_scheme_and_port() -> None:
    origins = Origins(["https://App.example.com:443", "http://localhost:3000", "capacitor://localhost"])
    assert let_in(origins, "https://app.example.com")
    assert let_in(origins, "http://localhost:3000")
    assert let_in(origins, "capacitor://localhost")
    for other in (
        "http://app.example.com",
        "https://example.com",
        "http://localhost",
        "http://localhost:30000",
    ):
        assert not let_in(origins, other)


def test_a_list_takes_the_place_of_the_default_unless_it_repeats_it() -> None:
    assert not let_in(Origins(["https://app.example.com"]), "https://api.example.com")
    assert let_in(Origins(["https://app.example.com", "self"]), "https://api.example.com")


def test_a_star_stands_for_one_or_more_labels() -> None:
    origins = Origins(["https://*.example.com"])
    assert let_in(origins, "https://a.example.com")
    assert let_in(origins, "https://a.b.example.com")
    for other in (
        "https://example.com",
        "https://.example.com",
        "http://a.example.com",
        "https://a.example.com:8443",
        "https://aexample.com",
        "https://a.example.com.evil.example",
    ):
        assert not let_in(origins, other)


def test_everything_is_let_in_where_nothing_is_checked() -> None:
    origins = Origins(["*"])
    assert not origins.checked
    assert let_in(origins, "https://evil.example")
    assert let_in(origins, "null")
    assert let_in(origins, "\x00")
    assert Origins(["self"]).checked


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "example.com",
        "https://",
        "https://example.com/",
        "https://example.com/path",
        "https://a.*.com",
        "https://*",
        "https://*example.com",
        "https://exa mple.com",
        "https://example.com:port",
        "https://example.com:65536",
        "https://bücher.example",
        "//example.com",
        "1http://example.com",
        "https://[::1",
        "https://[:::1]",
    ],
)
def test_an_origin_that_cannot_be_is_refused_at_the_start(text: str) -> None:
    with pytest.raises(OptionError) as caught:
        Origins([text])
    assert caught.value.option == "origin"
