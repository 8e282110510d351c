"""
The keys that signed tokens are verified with, each with the one algorithm it is for.

A token says in its header how it was signed, and must not be believed: with a public key taken for a shared
secret anybody could sign (RFC 8725, 2.1 and 3.1). So the algorithm follows from the kind of the key, and what
the header says must agree with it. What looks like a key of another kind is refused rather than taken for a
secret.
"""

from __future__ import annotations

import json
from base64 import b64decode
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, get_args

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_der_public_key, load_pem_public_key
from cryptography.x509 import load_der_x509_certificate, load_pem_x509_certificate

from trioecho.access.source_file import SourceFile
from trioecho.settings import Algorithm

__all__ = ["Key", "read_key", "read_key_set"]

ALGORITHMS: tuple[Algorithm, ...] = get_args(Algorithm)

MIN_SECRET_BYTES = 32
"""A secret for HS256 is at least as long as its hash (RFC 7518, 3.2)."""

MIN_RSA_BITS = 2048
"""RFC 7518, 3.3."""

MAX_KEYS = 100
"""Keys in a set: issuers have a handful, the old ones included."""

NOT_SECRETS = (b"ssh-", b"ecdsa-", b"sk-", b"---- BEGIN", b"{", b"[")
"""How keys begin that are no PEM, and no secret either."""


class _Problem(ValueError):
    """What is wrong with a key, as the rest of a sentence; it never holds any of the key."""


@dataclass(frozen=True, slots=True)
class Key:
    """A key to verify with; its ``repr`` does not hold it."""

    algorithm: Algorithm
    material: Any = field(repr=False)


def read_key(file: SourceFile, algorithm: Algorithm | None) -> Key:
    """
    Read a file that is one key: a public key or certificate in PEM, or else a secret.

    White space around a secret is not part of it.

    Raises:
        OptionError: the file can't be read, holds no key that can be used, or one for another algorithm.

    """
    content = file.read()
    try:
        key = _public_key(content.strip()) if b"-----BEGIN" in content else _secret(content)
        if algorithm is not None and key.algorithm != algorithm:
            raise _Problem(f"holds a key for {key.algorithm}, which --jwt-algorithm {algorithm} can't use")
    except _Problem as problem:
        raise file.error(str(problem)) from None
    return key


def read_key_set(file: SourceFile, algorithm: Algorithm | None) -> dict[str | None, Key]:
    """
    Read a file that is a JWK Set (RFC 7517, 5), and return its keys by their ``kid``.

    Keys that are for something else (encryption, other algorithms) are left out, as the RFC says. Only a key
    that stands alone may be without a ``kid``.

    Raises:
        OptionError: the file can't be read, is no such set, or holds no key that can be used.

    """
    content = file.read()
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        raise file.error("is not JSON") from None
    entries = value.get("keys") if isinstance(value, dict) else None
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise file.error('is no JWK Set: it must be an object with a list of "keys"')
    if len(entries) > MAX_KEYS:
        raise file.error(f"has more than {MAX_KEYS} keys")
    keys: dict[str | None, Key] = {}
    for number, entry in enumerate(entries, 1):
        kid = entry.get("kid")
        try:
            if kid is not None and not isinstance(kid, str):
                raise _Problem("has a kid that is not text")
            key = _from_jwk(entry)
        except _Problem as problem:
            raise file.error(f"is wrong: key number {number} {problem}") from None
        if key is None or (algorithm is not None and key.algorithm != algorithm):
            continue
        if kid in keys or ((None in keys or kid is None) and keys):
            raise file.error(f"is wrong: key number {number} must have a kid that no other has")
        keys[kid] = key
    if not keys:
        raise file.error(f"has no key for {algorithm or ', '.join(ALGORITHMS)}")
    return keys


def _public_key(content: bytes) -> Key:
    if b"PRIVATE KEY" in content:
        raise _Problem("holds a private key: the server takes the public one, and should not have the other")
    try:
        if b"BEGIN CERTIFICATE" in content:
            return _of_kind(load_pem_x509_certificate(content).public_key())
        return _of_kind(load_pem_public_key(content))
    except _Problem:
        raise
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise _Problem("holds no public key in PEM that can be read") from None


def _of_kind(key: object) -> Key:
    """Say which algorithm a key is for; the curve and the size are part of it."""
    if isinstance(key, RSAPublicKey):
        if key.key_size < MIN_RSA_BITS:
            raise _Problem(f"has an RSA key of fewer than {MIN_RSA_BITS} bits")
        return Key("RS256", key)
    if isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, SECP256R1):
        return Key("ES256", key)
    if isinstance(key, Ed25519PublicKey):
        return Key("EdDSA", key)
    raise _Problem("has a key that is none of RSA, P-256 and Ed25519")


def _secret(content: bytes) -> Key:
    begins = content.lstrip()
    if begins.startswith(NOT_SECRETS):
        raise _Problem("holds no secret and no PEM: a JWK Set goes to --jwt-jwks-file, other keys into PEM")
    if _is_public(begins):
        raise _Problem("holds a public key in DER: turn it into PEM, with openssl pkey -pubin -inform der")
    if _is_public(_from_base64(content)):
        raise _Problem("holds a public key without the lines that PEM has around it ('-----BEGIN')")
    content = content.strip()
    if len(content) < MIN_SECRET_BYTES:
        raise _Problem(f"must hold a secret of at least {MIN_SECRET_BYTES} bytes, or a public key in PEM")
    return Key("HS256", content)


def _from_base64(content: bytes) -> bytes:
    try:
        return b64decode(b"".join(content.split()), validate=True)
    except ValueError:
        return b""


def _is_public(content: bytes) -> bool:
    """
    Whether ``content`` begins with a public key or a certificate in DER.

    What follows is not looked at, for a value in DER says how long it is (X.690, 8.1.3): a line's end after a
    public key must not make a secret of it.
    """
    size = 2 + content[1] if len(content) > 1 else 0
    if size >= 2 + 0x80:
        length = content[2 : size - 0x80]
        size = 2 + len(length) + int.from_bytes(length)
    for load in load_der_public_key, load_der_x509_certificate:
        with suppress(ValueError, TypeError, UnsupportedAlgorithm):
            load(content[:size])
            return True
    return False


def _from_jwk(entry: dict[str, Any]) -> Key | None:
    """Return the key of a JWK (RFC 7517, 4; RFC 8037), or ``None`` if it is for something else."""
    kinds = {
        ("RSA", None): "RS256",
        ("EC", "P-256"): "ES256",
        ("OKP", "Ed25519"): "EdDSA",
        ("oct", None): "HS256",
    }
    kty, crv = entry.get("kty"), entry.get("crv")
    if not isinstance(kty, str) or not isinstance(crv, str | None):
        raise _Problem("has no kty that is text")
    algorithm = kinds.get((kty, crv))
    if algorithm is None or entry.get("use", "sig") != "sig" or entry.get("alg", algorithm) != algorithm:
        return None
    if kty != "oct" and "d" in entry:
        raise _Problem("is a private key: the server takes the public one, and should not have the other")
    try:
        material = jwt.PyJWK(entry, algorithm).key
    except (jwt.PyJWTError, ValueError, TypeError, KeyError, AttributeError, UnsupportedAlgorithm):
        raise _Problem(f"is no key of type {kty}") from None
    if kty == "oct":
        return _secret_jwk(material)
    return _of_kind(material)


def _secret_jwk(material: bytes) -> Key:
    if len(material) < MIN_SECRET_BYTES:
        raise _Problem(f"must be a secret of at least {MIN_SECRET_BYTES} bytes")
    return Key("HS256", material)
