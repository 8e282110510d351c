"""The fixtures that pytest has once trioecho is installed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from trioecho.testing.server import OpenServer

__all__ = ["trioecho_server"]


@pytest.fixture
def trioecho_server() -> OpenServer:
    """
    What opens a server in memory: :func:`trioecho.testing.open_server`.

    ::

        async def test_shout(trioecho_server, autojump_clock):
            async with trioecho_server(on_message=shout) as server:
                ...
    """
    # Only now: pytest loads this file in every project in whose environment trioecho is.
    from trioecho.testing.server import open_server

    return open_server
