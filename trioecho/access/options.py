"""Who may come in, as options: their names, defaults and reasons."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

from trioecho.options import OptionError

__all__ = ["AccessOptions", "Algorithm"]

Algorithm = Literal["HS256", "RS256", "ES256", "EdDSA"]
"""What a signed token may be signed with; each kind of key is for one of them."""

COOKIE_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
"""RFC 6265, 4.1.1, by way of RFC 9110's tokens."""

MAX_LEEWAY = 600.0
"""RFC 7519, 4.1.4: no more than a few minutes (seconds)."""

Path = str | os.PathLike[str]


@dataclass(frozen=True, kw_only=True, slots=True)
class AccessOptions:
    """
    Who may come in. Nothing is read until a gate is made of it.

    Raises:
        OptionError: a value can't be, or contradicts another. The sentence holds no token.

    """

    origin: Sequence[str] = ("self",)
    """
    The web pages that may talk to the server: ``https://example.com``, ``https://*.example.com``, ``self``
    (pages of the host that is asked for) or ``*``. Clients that are no browser are not concerned.
    """

    allowed_host: Sequence[str] = ()
    """
    The hosts the server answers to, as ``Host`` names them. A server on loopback always answers to loopback
    names, and to others only if they are here; any other server answers to all unless some are here.
    """

    token: Mapping[str, str] | Sequence[tuple[str, str]] = field(default=(), repr=False)
    """Tokens by the names of who has them; each has every right."""

    token_file: Path | None = None
    """A file of tokens, a line each, with what each may do."""

    token_cookie: str | None = None
    """The cookie that may hold a token; only where origins are checked: browsers send it for any page."""

    allow_query_token: bool = False
    """Whether ``?token=`` is taken. Off, because addresses end up in logs and histories."""

    jwt_key_file: Path | None = None
    """A public key in PEM, or a secret, that signed tokens are verified with."""

    jwt_jwks_file: Path | None = None
    """A JWK Set that signed tokens are verified with; read again when it has changed."""

    jwt_algorithm: Algorithm | None = None
    """The one algorithm that is taken. Default: the one each key is for."""

    jwt_audience: str | None = None
    """What a signed token's ``aud`` must be. Default: it must have none."""

    jwt_issuer: str | None = None
    """What a signed token's ``iss`` must be. Default: anything."""

    jwt_leeway: float = 0.0
    """How much the clocks of the issuer and the server may differ (seconds)."""

    def __post_init__(self) -> None:
        """Check what can be checked without reading a file."""
        for option in ("origin", "allowed_host"):
            value = getattr(self, option)
            if isinstance(value, str) or not all(isinstance(each, str) for each in value):
                raise OptionError(option, "must be a list of text")
        pairs = self.token.items() if isinstance(self.token, Mapping) else self.token
        if isinstance(pairs, str) or not all(isinstance(pair, tuple) and len(pair) == 2 for pair in pairs):
            raise OptionError("token", "must be a dict of names and tokens, or a list of pairs of them")
        for option in ("jwt_audience", "jwt_issuer"):
            if not isinstance(getattr(self, option), str | None):
                raise OptionError(option, "must be text")
        if self.token_cookie is not None:
            if COOKIE_NAME.fullmatch(self.token_cookie) is None:
                raise OptionError("token_cookie", f"must be a cookie's name, not {self.token_cookie!r}")
            if not self.takes_tokens:
                raise OptionError("token_cookie", "needs tokens: --token-file, --jwt-key-file or another")
            if "*" in self.origin:
                raise OptionError(
                    "token_cookie", "needs the origin check: browsers send it for any page, and * lets all in"
                )
        if not isinstance(self.allow_query_token, bool):
            raise OptionError("allow_query_token", f"must be True or False, not {self.allow_query_token!r}")
        if self.jwt_key_file is not None and self.jwt_jwks_file is not None:
            raise OptionError("jwt_jwks_file", "is one way to give the keys, and --jwt-key-file another")
        if self.jwt_algorithm not in (None, *get_args(Algorithm)):
            raise OptionError(
                "jwt_algorithm",
                f"must be one of {', '.join(get_args(Algorithm))}, not {self.jwt_algorithm!r}",
            )
        leeway = self.jwt_leeway
        if not isinstance(leeway, (int, float)) or isinstance(leeway, bool) or not math.isfinite(leeway):
            raise OptionError("jwt_leeway", f"must be seconds from 0 to {MAX_LEEWAY:g}, not {leeway!r}")
        if not 0 <= leeway <= MAX_LEEWAY:
            raise OptionError("jwt_leeway", f"must be seconds from 0 to {MAX_LEEWAY:g}, not {leeway!r}")
        if not self.takes_jwt:
            for option in ("jwt_algorithm", "jwt_audience", "jwt_issuer"):
                if getattr(self, option) is not None:
                    raise OptionError(option, "needs a key: --jwt-key-file or --jwt-jwks-file")

    @property
    def takes_jwt(self) -> bool:
        """Whether signed tokens are taken."""
        return self.jwt_key_file is not None or self.jwt_jwks_file is not None

    @property
    def takes_tokens(self) -> bool:
        """Whether tokens of any kind are taken, and so needed."""
        return bool(self.token) or self.token_file is not None or self.takes_jwt
