"""A server in the test's own process, on a real socket of 127.0.0.1, with its log to wait for."""

from __future__ import annotations

import logging
import traceback
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import Any, Unpack

import trio
from helpers.log import Entry, LogBook
from trio_websocket import open_websocket_url

from trioecho import Server, serve
from trioecho.server.serve import Listeners
from trioecho.settings import Options
from trioecho.web.site import Handler

__all__ = ["Serving", "kept_log", "serving", "unharmed"]

PATIENCE = 20.0
"""How long a test may take (seconds) before it counts as hung."""


class BookHandler(logging.Handler):
    """A log handler that keeps what it gets in a book."""

    def __init__(self, book: LogBook) -> None:
        super().__init__(logging.DEBUG)
        self._book = book

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record."""
        entry: Entry = {"event": "message", "text": record.getMessage(), "level": record.levelname.lower()}
        entry |= getattr(record, "fields", {})
        entry["event"] = getattr(record, "event", "message")
        if record.exc_info:
            entry["traceback"] = "".join(traceback.format_exception(*record.exc_info))
        self._book.add(entry)


class Serving(LogBook):
    """A running server, and the book of its log."""

    server: Server

    @property
    def url(self) -> str:
        """Where it listens."""
        return self.server.url


@contextmanager
def kept_log(book: LogBook) -> Iterator[None]:
    """Keep all that trioecho logs in ``book``, for the length of a ``with`` block."""
    logger, handler = logging.getLogger("trioecho"), BookHandler(book)
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        logger.setLevel(before)
        logger.removeHandler(handler)


@asynccontextmanager
async def serving(
    *,
    listeners: Listeners | None = None,
    metrics_address: str | None = None,
    http_handlers: Mapping[str, Handler] | None = None,
    hooks: Mapping[str, Any] | None = None,
    **options: Unpack[Options],
) -> AsyncIterator[Serving]:
    """A server; cancelled at the end, whatever goes on then."""
    serving = Serving()
    with kept_log(serving), trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            run = partial(
                serve,
                port=0,
                listeners=listeners,
                metrics_address=metrics_address,
                http_handlers=http_handlers,
                **(hooks or {}),
                **options,
            )
            serving.server = await nursery.start(run)
            yield serving
            nursery.cancel_scope.cancel()


@asynccontextmanager
async def unharmed(
    *, listeners: Listeners | None = None, **options: Unpack[Options]
) -> AsyncIterator[Serving]:
    """
    A server that must come through what the block does to it.

    Two healthy clients are in the room ``/healthy`` before, and must reach each other after; nothing may
    have been logged with a traceback; and a graceful shutdown must still work.
    """
    async with serving(listeners=listeners, **options) as server:
        url = f"{server.url}healthy"
        async with open_websocket_url(url) as one, open_websocket_url(url) as other:
            yield server
            await one.send_message("still there?")
            assert await other.get_message() == "still there?"
            await other.send_message(b"yes")
            assert await one.get_message() == b"yes"
        await server.server.shutdown()
        assert not server.tracebacks
