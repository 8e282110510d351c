"""
Who a request is from: asked once of every request for a room, whichever way it wants in.

In order: does the server answer to the host that is asked for; may the page that asks talk to it; and then
whose token, or whose certificate, it is. What is cheap and needs no secret comes first. What somebody may do
where is an identity's own business (:mod:`trioecho.access.rights`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from trioecho.access.hosts import Hosts
from trioecho.access.identity import ANYONE, Identity, Refusal
from trioecho.access.origins import Origins
from trioecho.access.presented import CHALLENGE, BadToken, Presented, presented
from trioecho.access.tokens import TokenTable
from trioecho.http.request import Request
from trioecho.options import OptionError
from trioecho.settings import Access

if TYPE_CHECKING:
    from trioecho.access.jwt import Verifier

__all__ = ["Authorize", "Gate"]

INVALID_TOKEN = ("WWW-Authenticate", 'Bearer error="invalid_token"')

TOKEN_NEEDED = Refusal(
    401,
    "A token is needed: send Authorization: Bearer TOKEN, or from a browser's WebSocket the subprotocol"
    " bearer.TOKEN.",
    (CHALLENGE,),
)
CERTIFICATE_NEEDED = Refusal(403, "A client certificate is needed.")
UNKNOWN = Refusal(401, "The token is not known here.", (INVALID_TOKEN,))


class Authorize(Protocol):
    """Says who a request is from, or refuses it: an application's own answer, in the place of the options."""

    async def __call__(self, request: Request, /) -> Identity | Refusal:
        """
        Return the identity of whoever sends a request, or the response that refuses it.

        It is asked once for each WebSocket, event stream, POST and request for stats, before anything is
        done for it.
        """


class Gate:
    """
    Lets in whom the options say.

    Args:
        options: who that is.
        loopback: whether the server can be reached from its own machine only (and by TCP).
        client_certificates: whether TLS asks for client certificates; the name in one is then an identity
            with every right, and who has neither that nor a token is refused.

    Raises:
        OptionError: a value is wrong, a file can't be read or is wrong, or PyJWT is not installed and needed.

    """

    def __init__(self, options: Access, *, loopback: bool = False, client_certificates: bool = False) -> None:
        self._options = options
        self._certificates = client_certificates
        self._hosts = Hosts(options.allowed_host, loopback=loopback)
        self._origins = Origins(options.origin)
        self._tokens: TokenTable | None = None
        if options.token or options.token_file is not None:
            self._tokens = TokenTable(options.token, options.token_file)
        self._verifier = _verifier(options) if options.takes_jwt else None

    @property
    def is_open(self) -> bool:
        """Whether everybody is let in without saying who they are."""
        return not (self._options.takes_tokens or self._certificates)

    @property
    def warnings(self) -> tuple[str, ...]:
        """Sentences about what works but should not stay so, as of the last time the files were read."""
        tokens = () if self._tokens is None else self._tokens.warnings
        return tokens if self._verifier is None else (*tokens, *self._verifier.warnings)

    def reload(self) -> list[OptionError]:
        """Read the files of tokens and keys again; what is wrong with one, whose old content then stays."""
        errors = []
        for table in (self._tokens, self._verifier):
            if table is not None:
                try:
                    table.reload()
                except OptionError as error:
                    errors.append(error)
        return errors

    def judge(self, request: Request) -> Identity | Refusal:
        """Return whose request it is, or why it is refused."""
        return self._hosts.check(request) or self._origins.check(request) or self._identify(request)

    def _identify(self, request: Request) -> Identity | Refusal:
        if self._options.takes_tokens:
            cookie = self._options.token_cookie
            found = presented(request, cookie=cookie, query=self._options.allow_query_token)
            if isinstance(found, Refusal):
                return found
            if found is not None:
                return self._owner(found)
        if self._certificates and request.peer is not None and request.peer.tls_subject is not None:
            try:
                return Identity(request.peer.tls_subject)
            except OptionError as error:
                return Refusal(403, f"The subject of the client certificate {error.problem}.")
        if self._options.takes_tokens:
            return TOKEN_NEEDED
        return CERTIFICATE_NEEDED if self._certificates else ANYONE

    def _owner(self, found: Presented) -> Identity | Refusal:
        """Return whose token it is. A table's is looked for first: it costs a digest, not a signature."""
        if self._tokens is not None and (identity := self._tokens.find(found.token)) is not None:
            return identity
        if self._verifier is None or (self._tokens is not None and found.token.count(".") != 2):
            return UNKNOWN
        try:
            return self._verifier.verify(found.token)
        except BadToken as error:
            return Refusal(401, str(error), (INVALID_TOKEN,))


def _verifier(options: Access) -> Verifier:
    """Import the library for signed tokens, which only those who configure them need."""
    try:
        from trioecho.access.jwt import Verifier
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("jwt", "cryptography"):
            raise
        option = "jwt_key_file" if options.jwt_jwks_file is None else "jwt_jwks_file"
        raise OptionError(option, "needs PyJWT: pip install 'PyJWT[crypto]'") from None
    return Verifier(
        key_file=options.jwt_key_file,
        jwks_file=options.jwt_jwks_file,
        algorithm=options.jwt_algorithm,
        audience=options.jwt_audience,
        issuer=options.jwt_issuer,
        leeway=options.jwt_leeway,
    )
