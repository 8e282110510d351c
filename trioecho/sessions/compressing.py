"""With whom compression is agreed on: what a request offers or accepts, and what the options allow."""

from __future__ import annotations

from trioecho.access.patterns import PatternError, Patterns
from trioecho.http.gzip import accepts_gzip
from trioecho.http.request import Request
from trioecho.options import OptionError
from trioecho.protocol.deflate_offer import Agreement, agree
from trioecho.settings import Settings

__all__ = ["Compressing"]


class Compressing:
    """
    The server's side of the bargain.

    Raises:
        OptionError: one of ``no_compress_room`` can match no room.

    """

    __slots__ = ("_excluded", "_is_on")

    def __init__(self, settings: Settings) -> None:
        self._is_on = settings.compress
        try:
            self._excluded = Patterns(settings.no_compress_room)
        except PatternError as error:
            raise OptionError("no_compress_room", str(error)) from None

    def agree(self, request: Request) -> Agreement | None:
        """Return what is agreed on with the client that sent this handshake; ``None``: no compression."""
        offers = request.values("sec-websocket-extensions")
        return agree(offers) if offers and self._allowed(request) else None

    def gzips(self, request: Request) -> bool:
        """Return whether the response to ``request`` is to be gzip, if it is large enough."""
        return self._allowed(request) and accepts_gzip(request)

    def _allowed(self, request: Request) -> bool:
        return self._is_on and not self._excluded.match(request.path)
