"""The whole question: whose request is this, and the answers a stranger gets."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from helpers.asked import STRANGER, asked
from helpers.signing import SECRET, sign

from trioecho.access.gate import Gate
from trioecho.access.identity import ANYONE, Identity, Refusal
from trioecho.access.rights import check_rights
from trioecho.http.request import Request
from trioecho.options import OptionError
from trioecho.settings import Access

ADA = "b68a1c59f3c2a7e51d04"
BEARER = ("authorization", f"Bearer {ADA}")


def answer(asked_of: Gate, request: Request) -> str | int | None:
    """Return the name of who was let in, or the status of the refusal, held against RFC 6750."""
    found = asked_of.judge(request)
    if isinstance(found, Identity):
        return found.name
    challenged = [value for name, value in found.headers if name == "WWW-Authenticate"]
    assert found.status != 401 or challenged[0].startswith("Bearer")
    assert ADA not in found.text + repr(found)
    return found.status


def gate(loopback: bool = False, client_certificates: bool = False, **options: Any) -> Gate:
    return Gate(Access(**options), loopback=loopback, client_certificates=client_certificates)


def test_without_options_everybody_is_anyone() -> None:
    assert gate().is_open
    assert gate().judge(asked()) is ANYONE
    assert gate().judge(asked("/?token=of-the-application", BEARER)) is ANYONE


def test_a_page_of_a_stranger_is_refused_even_with_a_token() -> None:
    strict = gate(token={"ada": ADA})
    assert answer(strict, asked("/", ("origin", "https://evil.example"), BEARER)) == 403
    assert answer(strict, asked("/", ("origin", "http://localhost:8765"), BEARER)) == "ada"


def test_a_strangers_name_for_loopback_is_refused() -> None:
    request = asked("/", ("origin", "http://evil.example"), host="evil.example")
    assert answer(gate(loopback=True), request) == 403
    assert answer(gate(), request) is None


def test_a_token_is_needed_once_one_is_configured() -> None:
    strict = gate(token={"ada": ADA})
    assert not strict.is_open
    assert answer(strict, asked()) == 401
    assert answer(strict, asked("/", ("authorization", "Bearer wrong"))) == 401
    assert answer(strict, asked("/", BEARER)) == "ada"
    assert answer(strict, asked(f"/?token={ADA}")) == 401
    assert answer(gate(token={"ada": ADA}, allow_query_token=True), asked(f"/?token={ADA}")) == "ada"
    cookie = ("cookie", f"session={ADA}")
    assert answer(strict, asked("/", cookie)) == 401
    assert answer(gate(token={"ada": ADA}, token_cookie="session"), asked("/", cookie)) == "ada"


def test_a_certificate_is_who_one_is() -> None:
    strict = gate(client_certificates=True)
    assert not strict.is_open
    assert answer(strict, asked()) == 403
    assert answer(strict, asked(peer=replace(STRANGER, tls_subject="CN=bo"))) == "CN=bo"
    assert answer(strict, asked(peer=replace(STRANGER, tls_subject="two\nlines"))) == 403
    assert gate().judge(asked(peer=replace(STRANGER, tls_subject="CN=bo"))) is ANYONE


def test_a_token_counts_before_a_certificate() -> None:
    both = gate(client_certificates=True, token={"ada": ADA})
    peer = replace(STRANGER, tls_subject="bo")
    assert answer(both, asked(peer=peer)) == "bo"
    assert answer(both, asked("/", BEARER, peer=peer)) == "ada"
    assert answer(both, asked("/", ("authorization", "Bearer wrong"), peer=peer)) == 401


def test_both_kinds_of_tokens_are_taken_side_by_side(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(SECRET)
    both = gate(token={"ada": ADA}, jwt_key_file=tmp_path / "key")
    signed, expired = sign("HS256", {"sub": "bo"}), sign("HS256", {"exp": 1})
    assert answer(both, asked("/", BEARER)) == "ada"
    assert answer(both, asked("/", ("authorization", f"Bearer {signed}"))) == "bo"
    assert answer(both, asked("/", ("sec-websocket-protocol", f"bearer.{signed}"))) == "bo"
    assert answer(both, asked("/", ("authorization", "Bearer unknown"))) == 401
    refusal = both.judge(asked("/", ("authorization", f"Bearer {expired}")))
    assert refusal == Refusal(
        401, "The token has expired.", (("WWW-Authenticate", 'Bearer error="invalid_token"'),)
    )


def test_reading_again_tells_of_each_wrong_file_and_keeps_it(tmp_path: Path) -> None:
    tokens, key = tmp_path / "tokens", tmp_path / "key"
    tokens.write_text(f"ada {ADA}\n")
    key.write_bytes(SECRET)
    tokens.chmod(0o644)
    both = gate(token_file=tokens, jwt_key_file=key)
    assert any(str(tokens) in warning for warning in both.warnings)
    assert both.reload() == []
    tokens.write_text("")
    key.write_text("")
    assert [error.option for error in both.reload()] == ["token_file", "jwt_key_file"]
    assert answer(both, asked("/", BEARER)) == "ada"
    tokens.write_text(f"bo {ADA}\n")
    assert [error.option for error in both.reload()] == ["jwt_key_file"]
    assert answer(both, asked("/", BEARER)) == "bo"


@pytest.mark.parametrize(
    ("publish", "subscribe", "get", "post"),
    [(True, True, None, None), (False, True, None, 403), (True, False, 403, None), (False, False, 403, 403)],
)
def test_what_is_not_among_the_rights_is_refused(
    publish: bool, subscribe: bool, get: int | None, post: int | None
) -> None:
    identity = Identity("ada", publish=publish, subscribe=subscribe, rooms=["/room"])
    for method, status in (("GET", get), ("HEAD", get), ("POST", post)):
        refusal = check_rights(identity, asked(method=method))
        assert (refusal and refusal.status) == status
        elsewhere = check_rights(identity, asked("/other", method=method))
        assert elsewhere and elsewhere.status == 403


@pytest.mark.parametrize(
    ("option", "options"),
    [
        ("origin", {"origin": "https://example.com"}),
        ("origin", {"origin": ["example.com"]}),
        ("allowed_host", {"allowed_host": ["a b"]}),
        ("token", {"token": f"ada={ADA}"}),
        ("token", {"token": [ADA]}),
        ("token_cookie", {"token_cookie": "session"}),
        ("token_cookie", {"token_cookie": "a b", "token": {"ada": ADA}}),
        ("token_cookie", {"token_cookie": "session", "token": {"ada": ADA}, "origin": ["*"]}),
        ("allow_query_token", {"allow_query_token": 1}),
        ("jwt_jwks_file", {"jwt_key_file": "a", "jwt_jwks_file": "b"}),
        ("jwt_algorithm", {"jwt_algorithm": "none", "jwt_key_file": "a"}),
        ("jwt_algorithm", {"jwt_algorithm": "HS256"}),
        ("jwt_audience", {"jwt_audience": "chat"}),
        ("jwt_issuer", {"jwt_issuer": 5, "jwt_key_file": "a"}),
        ("jwt_leeway", {"jwt_leeway": -1}),
        ("jwt_leeway", {"jwt_leeway": float("nan")}),
        ("jwt_leeway", {"jwt_leeway": "5"}),
        ("token_file", {"token_file": "/nowhere/at/all"}),
    ],
)
def test_options_that_cannot_be_are_refused_at_the_start(option: str, options: dict[str, Any]) -> None:
    with pytest.raises(OptionError) as caught:
        gate(**options)
    assert caught.value.option == option
    assert ADA not in str(caught.value)
    assert ADA not in repr(Access(token={"ada": ADA}))


BLOCKED = """
import sys
sys.modules["jwt"] = None
from trioecho.access.gate import Gate
from trioecho.settings import Access
Gate(Access(token={"ada": "x" * 20}))
assert "trioecho.access.jwt" not in sys.modules and "cryptography" not in sys.modules
try:
    Gate(Access(jwt_jwks_file="keys"))
except ValueError as error:
    print(error)
"""


def test_without_the_library_for_signed_tokens_one_sentence_says_so() -> None:
    done = subprocess.run([sys.executable, "-c", BLOCKED], capture_output=True, text=True, check=True)
    assert done.stdout == "jwt_jwks_file needs PyJWT: pip install 'PyJWT[crypto]'\n"
