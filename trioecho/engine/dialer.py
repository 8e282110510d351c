"""A dialer: it connects to an engine's primary, wherever that is now."""

from __future__ import annotations

from itertools import cycle, islice

import trio

from trioecho.engine.dial import open_stream
from trioecho.engine.encryption import tls_context
from trioecho.engine.errors import EngineLost
from trioecho.engine.sentinel import ask_sentinel
from trioecho.engine_url import EngineAddress, Host

__all__ = ["Dialer"]


class Dialer:
    """
    Connects to one of the hosts of ``address`` after the other, or to the primary that its sentinels name.

    That it is a primary shows when it is spoken to: a sentinel may not know yet that it is none any more. So
    the sentinels are asked every time, and every time another is the first.

    Attributes:
        host: whom it turned to last, as a log shows it.

    Raises:
        OptionError: a file that the address names can't be used.

    """

    def __init__(self, address: EngineAddress) -> None:
        self.host = ""
        self._address = address
        self._hosts = cycle(address.hosts)
        self._tls = tls_context(address)

    async def connect(self) -> trio.abc.Stream:
        """
        Connect to whoever's turn it is.

        Raises:
            EngineLost: that is not possible; it says why.

        """
        host = next(self._hosts) if self._address.primary is None else await self._primary()
        self.host = str(host)
        return await open_stream(host, self._tls)

    async def _primary(self) -> Host:
        sentinels = self._address.hosts
        self.host = ",".join(str(sentinel) for sentinel in sentinels)
        troubles: dict[Host, str] = {}
        for sentinel in islice(self._hosts, len(sentinels)):
            try:
                return await ask_sentinel(sentinel, self._address, self._tls)
            except EngineLost as lost:
                troubles[sentinel] = str(lost)
        # In the order of the address, whoever was asked first: it is the same trouble then.
        told = "; ".join(f"{sentinel}: {troubles[sentinel]}" for sentinel in sentinels)
        raise EngineLost(f"no sentinel says where {self._address.primary} is: {told}")
