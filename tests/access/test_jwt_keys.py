"""Files of keys: what each kind is for, what is no key, and a set that changes."""

from __future__ import annotations

import base64
import json
import logging
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed448, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from helpers.signing import KINDS, SECRET, jwk, private_key, private_pem, public, sign

from trioecho.access import jwt as our_jwt
from trioecho.access.jwt import Verifier
from trioecho.access.presented import BadToken
from trioecho.options import OptionError


def write(path: Path, content: bytes | dict[str, Any]) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    return path


def problem(**options: Any) -> str:
    with pytest.raises(OptionError) as caught:
        Verifier(**options)
    assert caught.value.option.removeprefix("jwt_") in options
    assert SECRET[:20].decode() not in str(caught.value)
    assert caught.value.__cause__ is None
    return str(caught.value)


@pytest.mark.parametrize("algorithm", KINDS)
def test_an_algorithm_can_be_asked_for_and_must_fit_the_key(tmp_path: Path, algorithm: Any) -> None:
    path = write(tmp_path / "key", b"\n" + public(private_key(algorithm)) + b"\n")
    assert Verifier(key_file=path, algorithm=algorithm).verify(sign(algorithm, {"sub": "a"})).name == "a"
    for other in KINDS:
        if other != algorithm:
            assert "--jwt-algorithm" in problem(key_file=path, algorithm=other)


def test_a_certificate_is_its_public_key(tmp_path: Path) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost")
    path = write(tmp_path / "key", certificate.cert_chain_pems[0].bytes())
    Verifier(key_file=path, algorithm="ES256")


def der(key: Any) -> bytes:
    data: bytes = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return data


def ssh(key: Any) -> bytes:
    data: bytes = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    return data


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
def test_what_is_a_key_in_another_form_is_not_taken_for_a_secret(tmp_path: Path, algorithm: str) -> None:
    key = private_key(algorithm)
    for content, says in (
        (private_pem(key), "private key"),
        (der(key), "DER"),
        (ssh(key), "no secret"),
        (json.dumps(jwk(algorithm)).encode(), "--jwt-jwks-file"),
        (public(key)[:60] + b"\n-----END PUBLIC KEY-----", "PEM"),
    ):
        assert says in problem(key_file=write(tmp_path / "key", content))


@pytest.mark.parametrize("make", ["key", "certificate"])
@pytest.mark.parametrize("ends_in_space", [False, True])
@pytest.mark.parametrize("before", [b"", b"\n"])
@pytest.mark.parametrize("after", [b"", b"\n", b" \r\n more"])
def test_what_anybody_may_have_is_no_secret(
    tmp_path: Path, make: str, ends_in_space: bool, before: bytes, after: bytes
) -> None:
    """With what is public taken for a secret anybody could sign; and its last byte may look like a space."""
    data = b""
    while not data or data[-1:].isspace() != ends_in_space:
        key = ec.generate_private_key(ec.SECP256R1())
        data = der(key) if make == "key" else certificate_of(key)
    assert "DER" in problem(key_file=write(tmp_path / "key", before + data + after))
    text = base64.b64encode(data)
    in_lines = before + text[:64] + b"\n" + text[64:] + b"\n"
    assert "PEM" in problem(key_file=write(tmp_path / "key", in_lines))


def certificate_of(key: Any) -> bytes:
    """Return a certificate in DER that says nothing but whose key it is."""
    name = x509.Name([])
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    now = datetime.now(UTC)
    valid = builder.not_valid_before(now).not_valid_after(now + timedelta(days=1))
    return valid.sign(key, SHA256()).public_bytes(Encoding.DER)


def test_keys_that_are_too_weak_or_of_no_kind_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "key"
    assert "32 bytes" in problem(key_file=write(path, b"x" * 31 + b"\n"))
    assert "32 bytes" in problem(key_file=write(path, b""))
    assert "2048" in problem(key_file=write(path, public(rsa.generate_private_key(65537, 1024))))
    assert "none of" in problem(key_file=write(path, public(ec.generate_private_key(ec.SECP384R1()))))
    assert "none of" in problem(key_file=write(path, public(ed448.Ed448PrivateKey.generate())))
    assert "no such file" in problem(key_file=tmp_path / "none")
    assert "larger" in problem(key_file=write(path, b"x" * (2**20 + 1)))
    assert "another" in problem(key_file=path, jwks_file=path)


def test_a_set_has_a_key_for_each_kid(tmp_path: Path) -> None:
    keys = [jwk(algorithm, kid=algorithm) for algorithm in KINDS]
    keys += [
        {"kty": "unknown"},
        jwk("RS256", use="enc"),
        jwk("RS256", alg="RS512", kid="x"),
        jwk("ES256", crv="P-1"),
    ]
    verify = Verifier(jwks_file=write(tmp_path / "set", {"keys": keys}))
    for algorithm in KINDS:
        assert verify.verify(sign(algorithm, {"sub": "ada"}, kid=algorithm)).name == "ada"
        for wrong in ("x", "", None):
            with pytest.raises(BadToken):
                verify.verify(sign(algorithm, {"sub": "eve"}, **({} if wrong is None else {"kid": wrong})))
    # HS256 with another key's kid, or RS256 with the secret's.
    for algorithm, kid in (("HS256", "RS256"), ("RS256", "HS256"), ("ES256", "EdDSA")):
        with pytest.raises(BadToken, match="algorithm"):
            verify.verify(sign(algorithm, {"sub": "eve"}, kid=kid))


def test_a_key_that_stands_alone_needs_no_kid(tmp_path: Path) -> None:
    nameless = Verifier(jwks_file=write(tmp_path / "a", {"keys": [jwk("EdDSA", kid=None)]}))
    assert nameless.verify(sign("EdDSA", {"sub": "ada"}, kid="any")).name == "ada"
    named = Verifier(jwks_file=write(tmp_path / "b", {"keys": [jwk("EdDSA", kid="1")]}))
    assert named.verify(sign("EdDSA", {"sub": "ada"})).name == "ada"
    with pytest.raises(BadToken):
        named.verify(sign("EdDSA", {"sub": "ada"}, kid="2"))


def test_an_algorithm_leaves_the_other_keys_out(tmp_path: Path) -> None:
    path = write(tmp_path / "set", {"keys": [jwk("EdDSA", kid="1"), jwk("HS256", kid="2")]})
    verify = Verifier(jwks_file=path, algorithm="EdDSA")
    assert verify.verify(sign("EdDSA", {"sub": "ada"}, kid="1")).name == "ada"
    with pytest.raises(BadToken):
        verify.verify(sign("HS256", {"sub": "ada"}, kid="2"))
    assert "no key for RS256" in problem(jwks_file=path, algorithm="RS256")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "not JSON"),
        (b"\xff", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", '"keys"'),
        ({"keys": {}}, '"keys"'),
        ({"keys": [5]}, '"keys"'),
        ({"keys": []}, "no key for"),
        ({"keys": [{"kty": "unknown"}] * 101}, "more than 100"),
        ({"keys": [{"kty": 5}]}, "number 1 has no kty"),
        ({"keys": [{"kty": "RSA", "crv": []}]}, "number 1 has no kty"),
        ({"keys": [{"kty": "RSA"}]}, "number 1 is no key"),
        ({"keys": [{"kty": "RSA", "n": 5, "e": None}]}, "number 1 is no key"),
        ({"keys": [{"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}]}, "number 1 is no key"),
        ({"keys": [{"kty": "OKP", "crv": "Ed25519", "x": []}]}, "number 1 is no key"),
        ({"keys": [{"kty": "oct", "k": "AAAA"}]}, "at least 32"),
        ({"keys": [{"kty": "oct", "kid": 5, "k": "AAAA"}]}, "kid that is not text"),
        ({"keys": [jwk("EdDSA", kid="1"), jwk("EdDSA", kid="1")]}, "number 2 must have a kid"),
        ({"keys": [jwk("EdDSA", kid="1"), jwk("EdDSA", kid=None)]}, "number 2 must have a kid"),
        ({"keys": [jwk("EdDSA", kid=None), jwk("EdDSA", kid="1")]}, "number 2 must have a kid"),
        ({"keys": [jwk("EdDSA", d="AAAA")]}, "private"),
    ],
)
def test_a_set_that_is_wrong_is_refused(tmp_path: Path, content: bytes | dict[str, Any], says: str) -> None:
    assert says in problem(jwks_file=write(tmp_path / "set", content))


def test_a_set_is_read_again_when_it_has_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(our_jwt, "LOOK_AGAIN", 0.0)
    caplog.set_level(logging.INFO, "trioecho")
    path = write(tmp_path / "set", {"keys": [jwk("HS256", "old", kid="old")]})
    verify = Verifier(jwks_file=path)
    old, new = sign("HS256", {"sub": "a"}, "old", kid="old"), sign("HS256", {"sub": "b"}, "new", kid="new")
    assert verify.verify(old).name == "a"
    assert caplog.messages == []
    # An issuer puts a new file in the old one's place; a wrong one changes nothing, and is told of once.
    os.replace(write(tmp_path / "next", b"{"), path)
    assert [verify.verify(old).name for _ in range(3)] == ["a"] * 3
    assert [message.split()[0] for message in caplog.messages] == ["jwt-keys-kept"]
    os.replace(write(tmp_path / "next", {"keys": [jwk("HS256", "new", kid="new")]}), path)
    assert verify.verify(new).name == "b"
    with pytest.raises(BadToken):
        verify.verify(old)
    assert [message.split()[0] for message in caplog.messages] == ["jwt-keys-kept", "jwt-keys-read"]
    path.unlink()
    assert verify.verify(new).name == "b"


def test_reading_a_key_again_keeps_the_old_one_if_the_new_is_wrong(tmp_path: Path) -> None:
    path = write(tmp_path / "key", private_key("HS256", "old"))
    verify = Verifier(key_file=path)
    write(path, b"short")
    with pytest.raises(OptionError, match="32 bytes"):
        verify.reload()
    assert verify.verify(sign("HS256", {"sub": "a"}, "old")).name == "a"
    write(path, private_key("HS256", "new"))
    verify.reload()
    assert verify.verify(sign("HS256", {"sub": "b"}, "new")).name == "b"


def test_a_secret_that_everybody_can_read_is_warned_of(tmp_path: Path) -> None:
    path = write(tmp_path / "key", SECRET)
    path.chmod(0o644)
    assert f"chmod o-r {path}" in Verifier(key_file=path).warnings[0]
    path.chmod(0o600)
    assert not Verifier(key_file=path).warnings
    path = write(tmp_path / "public", public(private_key("EdDSA")))
    path.chmod(0o644)
    assert not Verifier(key_file=path).warnings


def test_nothing_that_is_kept_shows_a_secret(tmp_path: Path) -> None:
    verify = Verifier(key_file=write(tmp_path / "key", SECRET))
    assert SECRET.decode() not in repr(vars(verify))
    assert base64.b64encode(SECRET).decode() not in repr(vars(verify))
