"""The engine that a server shares its rooms through, if it has one."""

from __future__ import annotations

from trioecho.engine_url import needing_hiredis
from trioecho.rooms.log import Logs
from trioecho.settings import Settings

__all__ = ["logs_of"]


def logs_of(settings: Settings) -> Logs | None:
    """
    Return what keeps the logs of rooms; ``None`` if they are the server's own.

    Raises:
        OptionError: what it needs is not installed, or its certificates can't be read.

    """
    if settings.engine is None:
        return None
    with needing_hiredis():
        from trioecho.engine.engine import Engine
    return Engine(settings)
