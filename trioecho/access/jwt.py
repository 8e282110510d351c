"""
Signed tokens (JWT, RFC 7519): whoever has the key says who somebody is, and what they may do.

The claims that count:

- ``sub``: the name;
- ``exp``: when the rights end; without it they don't. ``nbf``: when they begin;
- ``rooms``: patterns of rooms; without it, every room;
- ``publish``, ``subscribe``: ``true``, ``false`` or patterns; without them, ``true``;
- ``aud``, ``iss``: must be what the server was told. A token with an ``aud`` is refused by a server that was
  told none, because it is meant for somebody else (RFC 7519, 4.1.3).

Needs PyJWT: only :mod:`trioecho.access.gate` imports this module, and only if a key is configured.
"""

from __future__ import annotations

import logging
import math
import os
import time
from typing import Any

import jwt

from trioecho.access.identity import Identity
from trioecho.access.jwt_keys import Key, read_key, read_key_set
from trioecho.access.presented import MAX_TOKEN_CHARS, BadToken
from trioecho.access.source_file import SourceFile
from trioecho.log import log_event
from trioecho.options import OptionError
from trioecho.settings import Algorithm

__all__ = ["Verifier"]

MAX_FILE_BYTES = 2**20

LOOK_AGAIN = 2.0
"""A file of keys is looked at for changes this often at most (seconds), when a token comes."""

REASONS: tuple[tuple[type[jwt.PyJWTError], str], ...] = (
    (jwt.ExpiredSignatureError, "The token has expired."),
    (jwt.ImmatureSignatureError, "The token is not valid yet."),
    (jwt.InvalidAudienceError, "The token is for another audience."),
    (jwt.InvalidIssuerError, "The token is from another issuer."),
    (jwt.MissingRequiredClaimError, "The token lacks its audience or issuer."),
    (jwt.InvalidAlgorithmError, "The token is signed with another algorithm than this server takes."),
    (jwt.InvalidSignatureError, "The token is not signed with a key that is known here."),
)
"""The sentences for what is wrong; the library's own may repeat parts of a token."""


class Verifier:
    """
    Verifies tokens with the keys of a file.

    Args:
        key_file: a file that holds one key: a public one in PEM, or a secret of at least 32 bytes.
        jwks_file: a file that holds a JWK Set; it is read again when it has changed, which is looked for
            when a token comes, at most every two seconds.
        algorithm: the one algorithm that is taken. Default: the one that each key is for.
        audience: what ``aud`` must be or hold. Default: there must be none.
        issuer: what ``iss`` must be. Default: anything.
        leeway: how much clocks may differ (seconds); ``exp`` and ``nbf`` are moved by it.

    Raises:
        OptionError: there is not one file, or it is wrong.

    """

    def __init__(
        self,
        *,
        key_file: str | os.PathLike[str] | None = None,
        jwks_file: str | os.PathLike[str] | None = None,
        algorithm: Algorithm | None = None,
        audience: str | None = None,
        issuer: str | None = None,
        leeway: float = 0.0,
    ) -> None:
        if key_file is not None and jwks_file is not None:
            raise OptionError("jwt_jwks_file", "is one way to give the keys, and --jwt-key-file another")
        if jwks_file is not None:
            self._file, self._is_set = SourceFile("jwt_jwks_file", jwks_file, MAX_FILE_BYTES), True
        elif key_file is not None:
            self._file, self._is_set = SourceFile("jwt_key_file", key_file, MAX_FILE_BYTES), False
        else:
            raise OptionError("jwt_key_file", "must name a file")
        self._algorithm = algorithm
        self._audience = audience
        self._issuer = issuer
        self._leeway = leeway
        self._keys: dict[str | None, Key] = {}
        self.reload()

    @property
    def warnings(self) -> tuple[str, ...]:
        """Sentences about what works but should not stay so: a secret that everybody can read."""
        secret = any(key.algorithm == "HS256" for key in self._keys.values())
        if secret and self._file.readable_by_all:
            path = self._file.path
            return (f"{path} holds a secret and can be read by everybody on this machine: chmod o-r {path}",)
        return ()

    def reload(self) -> None:
        """
        Read the file again, and let its keys take the place of the old as a whole.

        Raises:
            OptionError: the file can't be read or is wrong. The old keys stay.

        """
        self._looked = time.monotonic()
        if self._is_set:
            self._keys = read_key_set(self._file, self._algorithm)
        else:
            self._keys = {None: read_key(self._file, self._algorithm)}

    def verify(self, token: str) -> Identity:
        """
        Return who a token says somebody is.

        Raises:
            BadToken: it is no token, not signed with a key that is known, not valid now, not meant for this
                server, or claims what can't be.

        """
        if len(token) > MAX_TOKEN_CHARS:
            raise BadToken(f"The token is longer than {MAX_TOKEN_CHARS} characters.")
        if self._is_set:
            self._look_again()
        try:
            key = self._key_of(token)
            claims = jwt.decode(
                token,
                key.material,
                algorithms=[key.algorithm],
                audience=self._audience,
                issuer=self._issuer,
                leeway=self._leeway,
                # When it was issued is no reason to refuse it, and the most common clock that is ahead.
                options={"verify_iat": False},
            )
        except jwt.PyJWTError as error:
            for kind, sentence in REASONS:
                if isinstance(error, kind):
                    raise BadToken(sentence) from None
            raise BadToken("The token is no JWT that can be read.") from None
        except (ValueError, TypeError, OverflowError, RecursionError):
            # What a token's JSON can do to the library: text that is no UTF-8, numbers beyond all bounds,
            # lists in lists in lists.
            raise BadToken("The token is no JWT that can be read.") from None
        return self._identity(claims)

    def _key_of(self, token: str) -> Key:
        """Choose the key by the token's ``kid``; a key that stands alone without one is for every token."""
        if (only := self._keys.get(None)) is not None:
            return only
        kid = jwt.get_unverified_header(token).get("kid")
        if isinstance(kid, str) and (key := self._keys.get(kid)) is not None:
            return key
        if kid is None and len(self._keys) == 1:
            return next(iter(self._keys.values()))
        raise BadToken("The token is not signed with a key that is known here.")

    def _look_again(self) -> None:
        now = time.monotonic()
        if now - self._looked < LOOK_AGAIN:
            return
        self._looked = now
        if self._file.changed():
            try:
                self.reload()
            except OptionError as error:
                log_event(logging.WARNING, "jwt-keys-kept", reason=str(error))
            else:
                log_event(logging.INFO, "jwt-keys-read", file=self._file.path, keys=len(self._keys))

    def _identity(self, claims: dict[str, Any]) -> Identity:
        expires = claims.get("exp")
        if expires is not None:
            # The library has taken its whole part; what else can be made into one must be a number too.
            if (
                isinstance(expires, bool)
                or not isinstance(expires, (int, float))
                or not math.isfinite(expires)
            ):
                raise BadToken("The token's exp must be a number.")
            expires = float(expires) + self._leeway
        rights: dict[str, Any] = {name: claims.get(name, True) for name in ("publish", "subscribe")}
        rooms = claims.get("rooms", ["/**"])
        for name, value in (*rights.items(), ("rooms", rooms)):
            listed = isinstance(value, list) and all(isinstance(each, str) for each in value)
            if not listed and (name == "rooms" or not isinstance(value, bool)):
                true = "" if name == "rooms" else "true, false or "
                raise BadToken(f"The token's {name} must be {true}a list of patterns of rooms.")
        try:
            return Identity(claims.get("sub"), rooms=rooms, expires_at=expires, **rights)
        except OptionError as error:
            which = "sub" if error.option == "name" else error.option
            raise BadToken(f"The token's {which} {error.problem}.") from None
