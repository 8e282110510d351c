"""Whatever strangers send or typos say: an answer, or one of the named errors; never anything else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from helpers.asked import asked
from helpers.signing import KINDS, SECRET, forge, private_key, public, sign
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trioecho.access.gate import Gate
from trioecho.access.hosts import Hosts
from trioecho.access.identity import Identity, Refusal
from trioecho.access.jwt import Verifier
from trioecho.access.origins import Origins
from trioecho.access.presented import BadToken, offered_subprotocols
from trioecho.access.tokens import TokenTable
from trioecho.options import OptionError
from trioecho.rates import Rate
from trioecho.settings import Access

ADA = "b68a1c59f3c2a7e51d04"

budget = settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])

# What h11 lets through in a header's value: bytes, as latin-1.
header_text = st.text(st.characters(max_codepoint=255), max_size=60)


def pieces(*known: str) -> st.SearchStrategy[str]:
    """Text that often has in it what means something."""
    return st.lists(st.one_of(st.sampled_from(known), header_text), max_size=8).map("".join)


tokens = pieces(
    "ada", ADA, " ", "\n", "#", "=", "sha256:", "0" * 64, "rooms=", "rights=", "publish", "/a", "/**", ","
)


@budget
@given(content=st.one_of(st.binary(max_size=200), tokens.map(str.encode)))
def test_a_token_file_is_taken_or_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "tokens"
    path.write_bytes(content)
    try:
        TokenTable(path=path)
    except OptionError as error:
        assert error.option == "token_file"
        assert ADA not in str(error)
        assert "\n" not in str(error)


@budget
@given(content=st.binary(max_size=200), kind=st.sampled_from(KINDS), cut=st.integers(0, 500))
def test_a_file_of_keys_is_taken_or_refused(tmp_path: Path, content: bytes, kind: str, cut: int) -> None:
    path = tmp_path / "keys"
    key = public(private_key(kind))
    for text in (
        content,
        key[:cut] + content + key[cut:],
        b'{"keys": [{"kty": "RSA", "n": "%s"}]}' % content,
    ):
        path.write_bytes(text)
        for which in ("key_file", "jwks_file"):
            options: dict[str, Any] = {which: path}
            try:
                Verifier(**options)
            except OptionError as error:
                assert error.option == f"jwt_{which}"


credentials = pieces("Bearer ", "bearer.", ADA, ", ", "; ", "session=", '"', "token=", "&", "%", "%00", "=")
origins = pieces(
    "https://", "http://", "example.com", ":", "443", "[::1]", "*.", ".", "localhost", "null", "@", "/"
)
names = st.sampled_from(["authorization", "cookie", "sec-websocket-protocol", "origin", "host"])


@budget
@given(
    headers=st.lists(st.tuples(names, st.one_of(credentials, origins)), max_size=5),
    query=credentials,
    host=st.one_of(st.none(), origins),
    allow=st.booleans(),
)
def test_a_request_is_let_in_or_refused(
    headers: list[tuple[str, str]], query: str, host: str | None, allow: bool
) -> None:
    options = Access(token={"ada": ADA}, token_cookie="session", allow_query_token=allow)
    request = asked(f"/room?{query}", *headers, host=host)
    found = Gate(options, loopback=True).judge(request)
    assert isinstance(found, (Identity, Refusal))
    assert ADA not in repr(found)
    assert not [name for name in offered_subprotocols(request) if name.lower().startswith("bearer.")]


@budget
@given(text=st.one_of(origins, st.text(max_size=30)))
def test_an_option_is_taken_or_refused(text: str) -> None:
    makes: list[Any] = [lambda: Origins([text]), lambda: Hosts([text], loopback=True)]
    for make in (*makes, lambda: Rate.parse(text)):
        try:
            make()
        except OptionError as error:
            assert "\n" not in str(error)


json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=10), st.just("/a")),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=5,
)
claims = st.dictionaries(
    st.sampled_from(["sub", "exp", "nbf", "aud", "iss", "jti", "rooms", "publish", "subscribe"]), json_values
)


@pytest.fixture(scope="module")
def verify(tmp_path_factory: pytest.TempPathFactory) -> Verifier:
    path = tmp_path_factory.mktemp("fuzz") / "key"
    path.write_bytes(SECRET)
    return Verifier(key_file=path)


def try_to(verify: Verifier, token: str) -> Identity | None:
    try:
        return verify.verify(token)
    except BadToken as error:
        assert "\n" not in str(error)
        return None


@budget
@given(token=pieces("e30", ".", "eyJhbGciOiJIUzI1NiJ9", "eyJhbGciOiJub25lIn0", "=", "-", "_"))
def test_what_was_not_signed_is_never_believed(verify: Verifier, token: str) -> None:
    assert try_to(verify, token) is None


@budget
@given(data=st.data())
def test_a_token_with_one_character_changed_is_never_believed(verify: Verifier, data: st.DataObject) -> None:
    token = sign("HS256", {"sub": "ada"})
    assert try_to(verify, token) is not None
    at = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(st.sampled_from("ABCxyz019-_.=").filter(lambda character: character != token[at]))
    assert try_to(verify, token[:at] + other + token[at + 1 :]) is None


@budget
@given(claims=claims)
def test_whatever_is_claimed_is_taken_or_refused(verify: Verifier, claims: dict[str, Any]) -> None:
    identity = try_to(verify, forge({"alg": "HS256"}, claims))
    if identity is not None:
        identity.may_publish("/a")
        identity.may_subscribe("/a")
