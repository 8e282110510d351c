"""The status of a server, or of all its workers, by HTTP: one connection, opened again when it is lost."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Sequence
from dataclasses import replace

import h11
import trio

from trioecho.cli.top.source import Away
from trioecho.client.dial import dial
from trioecho.client.errors import ConnectFailed
from trioecho.client.proxy import Proxy, proxy_from_environment
from trioecho.options import OptionError
from trioecho.protocol.url import Address, parse_address
from trioecho.web.status import Status, StatusError, parse_status

__all__ = ["HttpSource", "status_address"]

MOST_HEAD = 64 * 1024
MOST_BODY = 4 * 2**20
"""More than a thousand servers have to say (bytes)."""

PATIENCE = 5.0
"""How long an answer may take (seconds), with connecting."""

SCHEMES = {"http:": "ws:", "https:": "wss:", "http+unix:": "ws+unix:"}
"""The server's log and Prometheus' configuration write addresses with these."""

PAGES = ("/status", "/metrics", "/healthz", "/readyz")

WRONG = {
    401: "it wants a token: --token or --token-file",
    403: "it does not let this token in",
    404: "it has no /status: that is on its --metrics-address, or off (--no-status)",
}
"""What is to be said of some answers."""

LOST = (trio.BrokenResourceError, trio.ClosedResourceError)


def status_address(url: str) -> Address:
    """
    Return the address of the status of a server that is named by its own address, or by one of its pages.

    Raises:
        OptionError: it is no address.

    """
    scheme = next((scheme for scheme in SCHEMES if url.lower().startswith(scheme)), "")
    ours = SCHEMES.get(scheme, "")
    try:
        address = parse_address(ours + url[len(scheme) :])
    except OptionError as error:
        # The URL is the first that it quotes, and should be as it was given.
        raise OptionError(error.option, error.problem.replace(ours, scheme, 1)) from None
    path, _, query = address.resource.partition("?")
    for page in PAGES:
        path = path.removesuffix(page)
    return replace(address, resource=f"{path.rstrip('/')}/status" + (f"?{query}" if query else ""))


class HttpSource:
    """
    What answers at ``address``.

    ``token`` gives the bearer token anew for each request, as it may stand in a file.
    """

    def __init__(
        self,
        address: Address,
        *,
        token: Callable[[], str] | None = None,
        headers: Sequence[tuple[str, str]] = (),
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        self._address = address
        self._token = token
        self._headers = headers
        self._ssl_context = ssl_context
        self._stream: trio.abc.Stream | None = None
        self._http = h11.Connection(h11.CLIENT)

    def __str__(self) -> str:
        shown = str(self._address)
        for scheme, theirs in SCHEMES.items():
            if shown.startswith(theirs):
                return scheme + shown.removeprefix(theirs)
        return shown

    async def get(self) -> Status:
        """
        Return the status of now.

        Raises:
            Away: nobody answers, or no server of trioecho's.

        """
        try:
            with trio.fail_after(PATIENCE):
                code, body = await self._exchange()
            if code != 200:
                raise Away(WRONG.get(code, f"it answers {code}"))
            return parse_status(body)
        except ConnectFailed as error:
            # It is named beside the sentence, and as a WebSocket's address here.
            text = str(error).removeprefix(f"cannot connect to {self._address}: ")
            raise Away(text.replace(str(self._address), str(self))) from None
        except trio.TooSlowError:
            raise Away(f"it does not answer within {PATIENCE:g} seconds") from None
        except StatusError:
            raise Away("what it answers is no status of trioecho's") from None
        except h11.RemoteProtocolError:
            raise Away("what it answers is not HTTP") from None
        except LOST:
            raise Away("it closed the connection without an answer") from None

    async def _exchange(self) -> tuple[int, bytes]:
        """Ask, and once more if a connection that was used before turns out to be over."""
        if self._stream is not None:
            try:
                return await self._ask(self._stream)
            except (*LOST, h11.RemoteProtocolError):
                pass
        self._stream = await dial(self._address, ssl_context=self._ssl_context, proxy=self._proxy())
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=MOST_HEAD)
        return await self._ask(self._stream)

    async def _ask(self, stream: trio.abc.Stream) -> tuple[int, bytes]:
        try:
            answer = await self._request(stream)
        except BaseException:
            await self.aclose()
            raise
        if self._http.our_state is self._http.their_state is h11.DONE:
            self._http.start_next_cycle()
        else:
            await self.aclose()
        return answer

    async def _request(self, stream: trio.abc.Stream) -> tuple[int, bytes]:
        headers = [("Host", self._address.host_header), ("Accept", "application/json"), *self._headers]
        if self._token is not None:
            headers.append(("Authorization", f"Bearer {self._token()}"))
        elif self._address.authorization is not None:
            headers.append(("Authorization", self._address.authorization))
        request = h11.Request(method="GET", target=self._address.resource, headers=headers)
        await stream.send_all(
            (self._http.send(request) or b"") + (self._http.send(h11.EndOfMessage()) or b"")
        )
        code, body, ended = 0, bytearray(), False
        while True:
            try:
                event = self._http.next_event()
            except h11.RemoteProtocolError:
                if ended:
                    raise trio.BrokenResourceError from None
                raise
            if event is h11.NEED_DATA:
                data = bytes(await stream.receive_some(MOST_HEAD))
                ended = not data
                self._http.receive_data(data)
            elif isinstance(event, h11.Response):
                code = event.status_code
            elif isinstance(event, h11.Data):
                body += event.data
                if len(body) > MOST_BODY:
                    raise StatusError
            elif isinstance(event, h11.EndOfMessage):
                return code, bytes(body)
            elif isinstance(event, h11.ConnectionClosed) or event is h11.PAUSED:
                raise trio.BrokenResourceError

    def _proxy(self) -> Proxy | None:
        if self._address.unix is not None:
            return None
        try:
            return proxy_from_environment(self._address)
        except OptionError as error:
            raise ConnectFailed(f"the environment's proxy {error.problem}") from None

    async def aclose(self) -> None:
        """Close the connection."""
        if self._stream is not None:
            stream, self._stream = self._stream, None
            await trio.aclose_forcefully(stream)
