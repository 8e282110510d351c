"""Signed tokens: who is believed, what a claim gives, and which algorithm decides."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from helpers.signing import KINDS, b64, forge, private_key, public, sign

from trioecho.access.jwt import Verifier
from trioecho.access.presented import BadToken

LATER = 4e9 + 0.5
"""A time that no test will see (Unix time in seconds; in the year 2096)."""


def verifier(tmp_path: Path, algorithm: str = "HS256", **options: Any) -> Verifier:
    path = tmp_path / "key"
    path.write_bytes(public(private_key(algorithm)))
    return Verifier(key_file=path, **options)


def why_not(verify: Verifier, token: str) -> str:
    with pytest.raises(BadToken) as caught:
        verify.verify(token)
    assert caught.value.__cause__ is None
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert len(sentence) < 200
    return sentence


HS256 = {"alg": "HS256", "typ": "JWT"}


@pytest.mark.parametrize("algorithm", KINDS)
def test_a_token_is_believed_if_its_signature_is_right(tmp_path: Path, algorithm: str) -> None:
    verify = verifier(tmp_path, algorithm)
    identity = verify.verify(sign(algorithm, {"sub": "ada"}))
    assert identity.name == "ada"
    assert identity.expires_at is None
    assert identity.may_publish("/any/room")
    assert identity.may_subscribe("/any/room")
    assert "not signed" in why_not(verify, sign(algorithm, {"sub": "ada"}, name="another key of its kind"))


@pytest.mark.parametrize("algorithm", KINDS)
def test_a_token_that_was_tampered_with_is_not_believed(tmp_path: Path, algorithm: str) -> None:
    header, _, signature = sign(algorithm, {"sub": "ada"}).split(".")
    assert "not signed" in why_not(
        verifier(tmp_path, algorithm), f"{header}.{b64({'sub': 'eve'})}.{signature}"
    )


@pytest.mark.parametrize("of_key", KINDS)
@pytest.mark.parametrize("of_token", KINDS)
def test_the_key_decides_the_algorithm_not_the_token(tmp_path: Path, of_key: str, of_token: str) -> None:
    if of_key != of_token:
        assert "algorithm" in why_not(verifier(tmp_path, of_key), sign(of_token, {"sub": "eve"}))


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
def test_a_public_key_is_never_a_secret(tmp_path: Path, algorithm: str) -> None:
    """The oldest attack: sign with HS256, and the public key, which everybody has, as the secret."""
    pem = public(private_key(algorithm))
    for secret in (pem, pem.strip()):
        assert "algorithm" in why_not(verifier(tmp_path, algorithm), forge(HS256, {"sub": "eve"}, secret))


@pytest.mark.parametrize("alg", ["none", "None", "", None, "HS512", "RS256", ["HS256"], {"a": 1}, 5])
def test_an_algorithm_of_the_tokens_own_is_refused(tmp_path: Path, alg: Any) -> None:
    verify = verifier(tmp_path)
    assert "algorithm" in why_not(verify, forge({"alg": alg}, {"sub": "eve"}))
    why_not(verify, forge({"alg": alg}, {"sub": "eve"}).rpartition(".")[0] + ".")


def test_claims_say_who_may_do_what_where(tmp_path: Path) -> None:
    claims = {
        "sub": "ada",
        "rooms": ["/news", "/team/**"],
        "publish": ["/team/*"],
        "subscribe": True,
        "exp": LATER,
    }
    identity = verifier(tmp_path).verify(sign("HS256", claims))
    assert identity.expires_at == LATER
    assert [identity.may_publish(room) for room in ("/news", "/team/a", "/team/a/b")] == [False, True, False]
    assert [identity.may_subscribe(room) for room in ("/news", "/team/a/b", "/x")] == [True, True, False]
    nobody = verifier(tmp_path).verify(sign("HS256", {"publish": False, "rooms": []}))
    assert nobody.name is None
    assert not nobody.may_publish("/a")
    assert not nobody.may_subscribe("/a")


@pytest.mark.parametrize(
    "claims",
    [
        {"rooms": "/a"},
        {"rooms": True},
        {"rooms": None},
        {"rooms": [1]},
        {"rooms": ["a"]},
        {"rooms": ["/a"] * 101},
        {"publish": "/a"},
        {"publish": 1},
        {"subscribe": [None]},
        {"subscribe": {"/a": 1}},
        {"sub": ""},
        {"sub": 5},
        {"sub": "a\nb"},
        {"sub": "x" * 256},
        {"exp": True},
        {"exp": "1e99999"},
        {"exp": "99999999999"},
        {"exp": [1]},
    ],
)
def test_a_claim_that_cannot_be_is_refused_by_name(tmp_path: Path, claims: dict[str, Any]) -> None:
    sentence = why_not(verifier(tmp_path), forge(HS256, claims))
    assert next(iter(claims)) in sentence or "no JWT" in sentence


@pytest.mark.parametrize("number", [b"1e999", b"-1e999", b"NaN", b"Infinity", b"9" * 5000, b"[" * 5000])
def test_a_number_beyond_all_bounds_is_refused(tmp_path: Path, number: bytes) -> None:
    for claim in (b"exp", b"nbf"):
        why_not(verifier(tmp_path), forge(HS256, b'{"%s": %s}' % (claim, number)))


def test_time_is_kept_and_clocks_may_differ_by_the_leeway(tmp_path: Path) -> None:
    now = time.time()  # not that of the import: many tests may run between the two
    expired, early = sign("HS256", {"exp": now - 30}), sign("HS256", {"nbf": now + 30, "exp": now + 600})
    strict, lenient = verifier(tmp_path), verifier(tmp_path, leeway=60)
    assert "expired" in why_not(strict, expired)
    assert "not valid yet" in why_not(strict, early)
    assert lenient.verify(expired).expires_at == now + 30
    assert lenient.verify(early).expires_at == now + 660
    assert strict.verify(sign("HS256", {"iat": now + 30})).name is None


def test_a_token_must_be_meant_for_this_server(tmp_path: Path) -> None:
    ours = verifier(tmp_path, audience="chat", issuer="https://id.example")
    right = {"aud": ["other", "chat"], "iss": "https://id.example"}
    assert ours.verify(sign("HS256", {**right, "sub": "ada"})).name == "ada"
    assert "audience" in why_not(ours, sign("HS256", {**right, "aud": "other"}))
    assert "issuer" in why_not(ours, sign("HS256", {**right, "iss": "https://evil.example"}))
    assert "audience" in why_not(ours, sign("HS256", {"iss": "https://id.example"}))
    assert "issuer" in why_not(ours, sign("HS256", {"aud": "chat"}))
    assert "audience" in why_not(verifier(tmp_path), sign("HS256", {"aud": "chat"}))


@pytest.mark.parametrize(
    "token",
    ["", "a", "a.b", "..", "...", "a.b.c.d", "é.é.é", f"{b64(HS256)}..", f"{b64(b'[' * 5000)}.e30.e30"],
)
def test_what_is_no_token_is_refused(tmp_path: Path, token: str) -> None:
    why_not(verifier(tmp_path), token)


def test_a_token_that_is_too_long_is_not_looked_at(tmp_path: Path) -> None:
    assert "longer than 8192" in why_not(verifier(tmp_path), sign("HS256", {"x": "y" * 8192}))


def test_a_header_that_is_critical_and_unknown_is_refused(tmp_path: Path) -> None:
    why_not(verifier(tmp_path), forge({**HS256, "crit": ["exp"], "exp": 1}, {"sub": "ada"}))
    why_not(verifier(tmp_path), forge({**HS256, "crit": ["b64"], "b64": False}, {"sub": "ada"}))


def test_a_token_signed_over_another_curve_is_refused(tmp_path: Path) -> None:
    token = jwt.encode({"sub": "eve"}, ec.generate_private_key(ec.SECP384R1()), "ES384")
    assert "algorithm" in why_not(verifier(tmp_path, "ES256"), token)
