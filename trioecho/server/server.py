"""A running server, as the application has it."""

from __future__ import annotations

import logging

import trio

from trioecho.access.gate import Gate
from trioecho.counters import Counters
from trioecho.log import log_event, logger
from trioecho.rooms.hub import Hub, registry_of
from trioecho.server.entrance import Entrance

__all__ = ["Server"]


class Server:
    """
    A running server, as ``nursery.start(serve)`` returns it.

    Attributes:
        hub: its rooms: publish and subscribe from the application.
        urls: an address for each listener, as a client takes it.
        metrics_urls: likewise for the monitoring addresses, if they are on a port of their own.

    """

    def __init__(
        self,
        hub: Hub,
        urls: tuple[str, ...],
        metrics_urls: tuple[str, ...],
        stopped: trio.Event,
        entrance: Entrance,
        gate: Gate,
    ) -> None:
        self.hub = hub
        self.urls = urls
        self.metrics_urls = metrics_urls
        self._stopping = trio.Event()
        self._stopped = stopped
        self._entrance = entrance
        self._gate = gate

    @property
    def url(self) -> str:
        """The first of :attr:`urls`."""
        return self.urls[0]

    @property
    def counters(self) -> Counters:
        """What the server has counted."""
        return registry_of(self.hub).counters

    def reload(self) -> None:
        """
        Read the files of certificates, tokens and keys again, each as a whole.

        A wrong one is logged, and its old content stays. Clients that are connected stay so.
        """
        self._entrance.reload()
        errors = self._gate.reload()
        for error in errors:
            log_event(
                logging.ERROR, "not-reloaded", why=f"--{error.option.replace('_', '-')} {error.problem}"
            )
        for warning in self._gate.warnings:
            logger.warning("%s", warning)
        if not errors:
            log_event(logging.INFO, "reloaded")

    async def shutdown(self) -> None:
        """
        Shut down gracefully and wait until that is done; ``serve()`` then returns.

        No more connections are accepted; what was taken from publishers is delivered to all who keep up;
        every client is closed with 1001, and its connection aborted if it is still open when
        ``shutdown_timeout`` is over. What clients send meanwhile is still read, so that they come to read
        what they are owed, but it is discarded and counted. With ``drain`` all that comes last: first clients
        are closed one after another over that time with 1012, while the rooms go on and new requests are
        answered 503. Calling it again only waits. If cancelled, the shutdown goes on.
        """
        self._stopping.set()
        await self._stopped.wait()
