"""
``/status``: for browsers a page that draws it, and for all others JSON.

The page asks the same address for JSON, again and again. It is read from the package, and compressed, when
somebody first wants it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import cache
from importlib.resources import files

from trioecho.http.gzip import GZIP, Joint
from trioecho.http.negotiation import preferred_type
from trioecho.http.request import Request
from trioecho.http.response import NO_STORE, VARY, Response
from trioecho.web.page import HTML
from trioecho.web.page_headers import page_headers
from trioecho.web.site import Handler
from trioecho.web.status import Status

__all__ = ["JSON", "StatusPage", "status_handler"]

JSON = "application/json"


class StatusPage:
    """The page. There is one of it for all servers, because it is the same for all."""

    def __init__(self) -> None:
        html = files("trioecho.web").joinpath("status.html").read_text(encoding="utf-8")
        body = html.encode()
        headers = page_headers(html)
        self._plain = Response(200, body, HTML, headers)
        self._small = Response(200, Joint(body, b"").around(b""), HTML, (*headers, GZIP))

    def response(self, *, gzip: bool = False) -> Response:
        """Return it, perhaps as gzip."""
        return self._small if gzip else self._plain


page = cache(StatusPage)


def status_handler(
    status: Callable[[], Awaitable[Status]], gzips: Callable[[Request], bool], *, names: bool
) -> Handler:
    """
    Return what answers ``/status``.

    With ``names``, rooms, addresses and machines are named: that is not for strangers.
    """

    async def handle(request: Request) -> Response:
        if preferred_type(request.header("accept"), ["text/html", JSON], JSON) == "text/html":
            return page().response(gzip=gzips(request))
        found = await status()
        return Response(200, (found if names else found.without_names()).to_json(), JSON, (NO_STORE, VARY))

    return handle
