"""Two servers in the test's own process that share their rooms through an engine."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import trio
from helpers.engine_server import EngineServer, engine_server

import trioecho
from trioecho import Server

__all__ = ["PATIENCE", "two"]

PATIENCE = 30.0
"""How long a test with them may take (seconds)."""


@asynccontextmanager
async def two(folder: Path, **options: Any) -> AsyncIterator[tuple[EngineServer, Server, Server]]:
    """Two servers on one engine; both shut down gracefully at the end."""
    with trio.fail_after(PATIENCE):
        async with engine_server(folder) as engine, trio.open_nursery() as nursery:
            run = partial(trioecho.serve, port=0, engine=engine.url, **options)
            one, other = await nursery.start(run), await nursery.start(run)
            yield engine, one, other
            await one.shutdown()
            await other.shutdown()
