"""Where a token may stand in a request, and what is refused."""

from __future__ import annotations

import pytest
from helpers.asked import asked

from trioecho.access.identity import Refusal
from trioecho.access.presented import Presented, offered_subprotocols, presented

TOKEN = "abc-._~+/123=="
WORD = "abc-._~+123"


def refused(status: int, answer: Presented | Refusal | None) -> str:
    assert isinstance(answer, Refusal), answer
    assert answer.status == status
    assert dict(answer.headers)["WWW-Authenticate"].startswith("Bearer")
    return answer.text


@pytest.mark.parametrize("value", [f"Bearer {TOKEN}", f"bearer   {TOKEN} ", f"\tBEARER {TOKEN}\t"])
def test_a_bearer_in_a_header(value: str) -> None:
    assert presented(asked("/", ("authorization", value))) == Presented(TOKEN, "authorization")


def test_a_subprotocol_is_one_and_is_never_offered_to_the_application() -> None:
    request = asked(
        "/",
        ("sec-websocket-protocol", f"Chat.v2, bearer.{WORD} ,chat.v1"),
        ("sec-websocket-protocol", f" json,, bearers, Bearer.{WORD}"),
    )
    assert presented(request) == Presented(WORD, "subprotocol")
    assert offered_subprotocols(request) == ["Chat.v2", "chat.v1", "json", "bearers"]
    assert offered_subprotocols(asked()) == []


def test_a_cookie_is_one_only_if_it_has_the_name() -> None:
    request = asked("/", ("cookie", f'a=b; Session=x; session="{TOKEN}"; c'), ("cookie", "session="))
    assert presented(request) is None
    assert presented(request, cookie="session") == Presented(TOKEN, "cookie")
    assert presented(request, cookie="other") is None


@pytest.mark.parametrize("query", ["token=a%2Fb+c", "x=1&access_token=a/b+c", "to%6ben=a%2fb%2bc&token2=x"])
def test_an_address_is_no_place_for_a_token_unless_it_is_allowed(query: str) -> None:
    text = refused(401, presented(asked(f"/room?{query}")))
    assert "--allow-query-token" in text
    assert presented(asked(f"/room?{query}"), query=True) == Presented("a/b+c", "query")


def test_a_token_in_the_address_is_refused_even_beside_a_right_one() -> None:
    """Or nobody would notice that it ends up in logs."""
    refused(401, presented(asked(f"/?token={WORD}", ("authorization", f"Bearer {WORD}"))))


def test_nothing_is_presented() -> None:
    for header in (
        ("authorization", "Basic YTpi"),
        ("authorization", "Bearertoken abc"),
        ("cookie", "bearer=abc"),
        ("sec-websocket-protocol", "chat, xbearer.abc"),
    ):
        assert presented(asked("/?tokens=x&x=token", header)) is None


def test_two_different_tokens_are_refused_and_the_same_twice_is_not() -> None:
    def twice(other: str) -> Presented | Refusal | None:
        headers = (("authorization", f"Bearer {WORD}"), ("sec-websocket-protocol", f"bearer.{other}"))
        return presented(asked("/", *headers))

    assert isinstance(twice(WORD), Presented)
    assert "two" in refused(400, twice("other"))
    both = (("authorization", "Bearer a"), ("authorization", "Bearer b"))
    refused(400, presented(asked("/", *both)))
    refused(400, presented(asked("/?token=a&access_token=b"), query=True))
    refused(400, presented(asked("/", ("cookie", "s=a; s=b")), cookie="s"))


@pytest.mark.parametrize(
    "value", ["", " ", "a b", "a,b", "ä", "a\x00", "=", "a=b", "a===", "x" * 8193, "x" * 100_000 + "="]
)
def test_what_cannot_be_a_token_is_refused_and_not_repeated(value: str) -> None:
    text = refused(401, presented(asked("/", ("authorization", f"Bearer {value}"))))
    assert value.strip() in ("", "=") or value not in text.split()


def test_a_repr_does_not_hold_the_token() -> None:
    assert repr(Presented(TOKEN, "cookie")) == "Presented(way='cookie')"
