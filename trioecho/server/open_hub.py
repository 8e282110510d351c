"""A hub of its own: rooms that no server has made, for an application or for several servers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Unpack

import trio

from trioecho.line_limiter import LineLimiter
from trioecho.nurseries import open_plain_nursery
from trioecho.options import OptionError
from trioecho.rooms.hub import Hub, registry_of
from trioecho.rooms.shedding import shed
from trioecho.server.logs import logs_of
from trioecho.settings import HUB_OPTIONS, HubOptions, Options, Settings

__all__ = ["open_hub", "settings_of"]


def settings_of(hub: Hub, options: Options) -> Settings:
    """
    Return the settings of a server that shares ``hub``, which decides some of them.

    Raises:
        OptionError: one of ``options`` is the hub's to decide, or can't work.

    """
    decided = registry_of(hub).settings
    for name in options:
        if name in HUB_OPTIONS:
            raise OptionError(name, "is decided by the hub: give it to open_hub()")
    return Settings(**{name: getattr(decided, name) for name in HUB_OPTIONS}, **options)


@asynccontextmanager
async def open_hub(**options: Unpack[HubOptions]) -> AsyncIterator[Hub]:
    """
    Open a hub for the length of a ``with`` block.

    It knows no sockets::

        async with trioecho.open_hub(when_slow="drop-oldest") as hub, trio.open_nursery() as nursery:
            await nursery.start(partial(trioecho.serve, hub=hub, port=7890))
            await nursery.start(partial(trioecho.serve, hub=hub, listeners=private, http_handlers=...))

    Each :func:`serve` with ``hub=hub`` is one door to its rooms. A server that shuts down delivers what its
    clients have published, disconnects them, and leaves the hub as it is for all others.

    When the block is left, the hub takes no more: what it has taken is delivered to those who take it within
    ``stall_limit``, subscriptions end, and clients of servers that still run are disconnected with 1001. Left
    with an exception, or cancelled, it ends at once. An exception of the block comes out as it is.

    Args:
        options: those fields of :class:`trioecho.Settings` that are about rooms: see :class:`HubOptions`.

    Raises:
        OptionError: an option has a value that cannot work, or is one of a server's.

    """
    for name in options:
        if name not in HUB_OPTIONS:
            raise OptionError(name, "is no option of a hub: give it to serve()")
    settings = Settings(**options)
    logs = logs_of(settings)
    async with open_plain_nursery() as nursery:
        if logs is not None:
            nursery.start_soon(logs.run)
        hub = Hub(settings, nursery, logs=logs)
        registry = registry_of(hub)
        nursery.start_soon(registry.histories.run)
        nursery.start_soon(shed, registry, frozenset(), LineLimiter())
        try:
            yield hub
            await registry.drain(trio.current_time() + settings.stall_limit)
            if logs is not None:
                await logs.leave()
        finally:
            registry.close()
            nursery.cancel_scope.cancel()
