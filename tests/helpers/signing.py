"""Keys of every kind, and what is signed with them."""

from __future__ import annotations

import base64
import hmac
import json
from functools import cache
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

SECRET = b"a secret of thirty-two bytes, ok?"

KINDS = ["HS256", "RS256", "ES256", "EdDSA"]


def private_key(algorithm: str, name: str = "") -> Any:
    """Make a key; the same for the same name."""
    return _made(algorithm, name)


@cache
def _made(algorithm: str, name: str) -> Any:
    if algorithm == "HS256":
        return SECRET + name.encode()
    if algorithm == "RS256":
        return rsa.generate_private_key(65537, 2048)
    if algorithm == "ES256":
        return ec.generate_private_key(ec.SECP256R1())
    return ed25519.Ed25519PrivateKey.generate()


def public(key: Any) -> bytes:
    """Write what verifies what a key signs: PEM, or the secret."""
    if isinstance(key, bytes):
        return key
    pem: bytes = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return pem


def private_pem(key: Any) -> bytes:
    pem: bytes = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return pem


def jwk(algorithm: str, name: str = "", **members: Any) -> dict[str, Any]:
    """Write the same as a JWK, with further members (or without those that are ``None``)."""
    key = private_key(algorithm, name)
    to_jwk: Any = jwt.get_algorithm_by_name(algorithm).to_jwk
    value = {**json.loads(to_jwk(key if isinstance(key, bytes) else key.public_key())), **members}
    return {name: member for name, member in value.items() if member is not None}


def sign(algorithm: str, claims: dict[str, Any], name: str = "", **header: Any) -> str:
    """Sign claims with a key."""
    return jwt.encode(claims, private_key(algorithm, name), algorithm, headers=header or None)


def b64(value: Any) -> str:
    """Write bytes, or a value as JSON, as a part of a token."""
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def forge(header: Any, claims: Any, secret: bytes = SECRET) -> str:
    """Sign by hand, with HS256, what the library would not."""
    text = f"{b64(header)}.{b64(claims)}"
    return f"{text}.{b64(hmac.digest(secret, text.encode(), 'sha256'))}"
