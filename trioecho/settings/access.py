"""Options of who may come in, and of which rooms there may be."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal

from trioecho.option_kinds import Choice, File, Seconds, Switch, Text, Texts, TokenPairs
from trioecho.options import Group, OptionError

__all__ = ["Access", "Algorithm"]

Algorithm = Literal["HS256", "RS256", "ES256", "EdDSA"]
"""What a signed token may be signed with; each kind of key is for one of them."""

COOKIE_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
"""RFC 6265, 4.1.1, by way of RFC 9110's tokens."""

MAX_LEEWAY = 600.0
"""RFC 7519, 4.1.4: no more than a few minutes (seconds)."""


@dataclass(frozen=True, kw_only=True)
class Access(Group):
    """
    Who may come in. Nothing is read until a gate is made of it.

    Raises:
        OptionError: a value can't be, or contradicts another. The sentence holds no token.

    """

    title: ClassVar[str] = "Who may come in"

    origin: Annotated[
        tuple[str, ...],
        Texts(
            "Let in web pages from here: https://example.com, https://*.example.com, self (pages of the host"
            " that is asked for) or *; may be given several times.",
            metavar="ORIGIN",
        ),
    ] = ("self",)
    """
    The web pages that may talk to the server: ``https://example.com``, ``https://*.example.com``, ``self``
    (pages of the host that is asked for) or ``*``. Clients that are no browser are not concerned.
    """

    allowed_host: Annotated[
        tuple[str, ...],
        Texts(
            "Answer to this name in the Host header too; may be given several times. A server on loopback"
            " answers only to loopback names otherwise.",
            metavar="HOST",
        ),
    ] = ()
    """
    The hosts the server answers to, as ``Host`` names them. A server on loopback always answers to loopback
    names, and to others only if they are here; any other server answers to all unless some are here.
    """

    token: Annotated[
        Mapping[str, str] | Sequence[tuple[str, str]],
        TokenPairs(
            "Let in who has this token; may be given several times. Others can see a command line: a file is"
            " safer.",
            variable="TRIOECHO_TOKENS",  # TRIOECHO_TOKEN is the one that a client presents
        ),
    ] = field(default=(), repr=False)
    """Tokens by the names of who has them (a dict, or pairs); each has every right."""

    token_file: Annotated[
        str | os.PathLike[str] | None,
        File("Let in who has a token of this file: a line is a name, a token, and what it may do."),
    ] = None
    """A file of tokens, a line each, with what each may do; read again on SIGHUP."""

    token_cookie: Annotated[
        str | None, Text("Take a token from this cookie too.", metavar="NAME", optional=True)
    ] = None
    """The cookie that may hold a token; only where origins are checked: browsers send it for any page."""

    allow_query_token: Annotated[
        bool, Switch("Take a token from the address (?token=) too, where it ends up in logs.")
    ] = False
    """Whether ``?token=`` is taken. Off, because addresses end up in logs and histories."""

    jwt_key_file: Annotated[
        str | os.PathLike[str] | None,
        File("Let in who has a JWT signed with this key: a public one in PEM, or a secret."),
    ] = None
    """A public key in PEM, or a secret, that signed tokens are verified with; read again on SIGHUP."""

    jwt_algorithm: Annotated[
        Algorithm | None,
        Choice("The one algorithm that a JWT may be signed with.", "NAME", of=Algorithm, optional=True),
    ] = None
    """The one algorithm that is taken. Default: the one each key is for."""

    jwt_jwks_file: Annotated[
        str | os.PathLike[str] | None,
        File("Let in who has a JWT signed with a key of this JWK Set."),
    ] = None
    """A JWK Set that signed tokens are verified with; read again when it has changed, and on SIGHUP."""

    jwt_audience: Annotated[str | None, Text("What a JWT's aud must be.", metavar="TEXT", optional=True)] = (
        None
    )
    """What a signed token's ``aud`` must be. Default: it must have none."""

    jwt_issuer: Annotated[str | None, Text("What a JWT's iss must be.", metavar="TEXT", optional=True)] = None
    """What a signed token's ``iss`` must be. Default: anything."""

    jwt_leeway: Annotated[
        float,
        Seconds("How much the clocks of a JWT's issuer and the server may differ.", high=MAX_LEEWAY),
    ] = 0.0
    """How much the clocks of the issuer and the server may differ (seconds)."""

    room: Annotated[
        tuple[str, ...],
        Texts(
            "A room that may exist, or a pattern of rooms, as in /news/*; may be given several times. Without"
            " it, all may.",
            metavar="PATTERN",
        ),
    ] = ()
    """
    The rooms that clients may ask for, as patterns: ``*`` stands for any characters of a segment, ``**`` for
    one or more segments. Empty: every room. Any other is answered 404.
    """

    def __post_init__(self) -> None:
        """Check every value, then those that depend on each other, without reading a file."""
        super().__post_init__()
        if self.token_cookie is not None:
            if COOKIE_NAME.fullmatch(self.token_cookie) is None:
                raise OptionError("token_cookie", f"must be a cookie's name, not {self.token_cookie!r}")
            if not self.takes_tokens:
                raise OptionError("token_cookie", "needs tokens: --token-file, --jwt-key-file or another")
            if "*" in self.origin:
                raise OptionError(
                    "token_cookie", "needs the origin check: browsers send it for any page, and * lets all in"
                )
        if self.jwt_key_file is not None and self.jwt_jwks_file is not None:
            raise OptionError("jwt_jwks_file", "is one way to give the keys, and --jwt-key-file another")
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

    @property
    def has_files(self) -> bool:
        """Whether there are files to read again."""
        return self.token_file is not None or self.takes_jwt
