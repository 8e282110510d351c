"""Admission: who a request is from, asked in one place for every way into a room."""

from __future__ import annotations

import time

import trio

from trioecho.access.gate import Authorize, Gate
from trioecho.access.identity import Identity, Refusal
from trioecho.access.patterns import PatternError, Patterns
from trioecho.access.presented import CHALLENGE
from trioecho.access.rights import check_rights
from trioecho.http.request import Request
from trioecho.http.response import HTTPError, error_response
from trioecho.log import logger
from trioecho.options import OptionError
from trioecho.settings import Settings

__all__ = ["Admission"]

NO_SUCH_ROOM = error_response(404, "There is no such room here: it is not one that --room names.")
TOO_SLOW = error_response(
    503, "Who may come in could not be found out in time: try again later.", ("Retry-After", "5")
)
OVER = Refusal(401, "The token has expired.", (CHALLENGE,))


class Admission:
    """
    Asks a gate, or the application's ``authorize``, about each request for a room.

    The answer is held against what is asked for.

    Raises:
        OptionError: ``room`` has a pattern that matches nothing.

    """

    def __init__(self, authority: Gate | Authorize, settings: Settings) -> None:
        self._authority = authority
        self._timeout = settings.handshake_timeout
        try:
            self._rooms = Patterns(settings.room or ("/**",))
        except PatternError as error:
            raise OptionError("room", str(error)) from None

    def check_exists(self, request: Request) -> None:
        """
        Check that the room may exist, whoever asks.

        Raises:
            HTTPError: it may not.

        """
        if not self._rooms.match(request.path):
            raise HTTPError(NO_SUCH_ROOM)

    async def admit(self, request: Request) -> Identity:
        """
        Return whose request it is.

        What ``authorize`` raises is raised: a bug of it ends this request alone.

        Raises:
            HTTPError: it is refused, or there was no answer within the handshake timeout.

        """
        authority = self._authority
        if isinstance(authority, Gate):
            found = authority.judge(request)
        else:
            found = await self._ask(authority, request)
        if isinstance(found, Identity):
            over = found.expires_at is not None and found.expires_at <= time.time()
            refusal = OVER if over else check_rights(found, request)
            if refusal is None:
                return found
            found = refusal
        if not isinstance(found, Refusal):
            raise TypeError(f"authorize must return an Identity or a Refusal, not {type(found).__name__}")
        raise HTTPError(error_response(found.status, found.text, *found.headers))

    async def _ask(self, authorize: Authorize, request: Request) -> Identity | Refusal:
        with trio.move_on_after(self._timeout):
            return await authorize(request)
        logger.error("authorize did not answer within %g s; the request is refused", self._timeout)
        raise HTTPError(TOO_SLOW)
