"""Logging for the command line: to stderr, as text for people or as JSON lines for machines."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Literal

__all__ = ["LogFormat", "LogLevel", "set_up"]

LogFormat = Literal["text", "json"]
LogLevel = Literal["debug", "info", "warning", "error"]

COLOURS = {"debug": "\x1b[2m", "warning": "\x1b[33m", "error": "\x1b[31m", "critical": "\x1b[31m"}
PLAIN = "\x1b[0m"


def set_up(form: LogFormat, level: LogLevel) -> None:
    """Send trioecho's log, and other libraries' warnings, to stderr."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if form == "json" else TextFormatter(sys.stderr.isatty()))
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.getLogger("trioecho").setLevel(level.upper())


class TextFormatter(logging.Formatter):
    """``2026-01-31 23:59:59 info came address=127.0.0.1:50000 room=/``, with colour on a terminal."""

    def __init__(self, colour: bool) -> None:
        super().__init__(datefmt="%Y-%m-%d %H:%M:%S")
        self._colour = colour

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as a line, and a traceback below it if there is one."""
        level = record.levelname.lower()
        line = f"{self.formatTime(record, self.datefmt)} {level} {super().format(record)}"
        start = COLOURS.get(level) if self._colour else None
        return f"{start}{line}{PLAIN}" if start else line


class JsonFormatter(logging.Formatter):
    """One JSON object a line: ``time`` (UTC, RFC 3339), ``level``, ``event``, and the event's values."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line."""
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        entry: dict[str, object] = {"time": time, "level": record.levelname.lower()}
        if hasattr(record, "event"):
            entry["event"] = record.event
            entry |= getattr(record, "fields", {})
        else:
            entry |= {"event": "message", "logger": record.name, "text": record.getMessage()}
        if record.exc_info:
            entry["traceback"] = self.formatException(record.exc_info)
        return json.dumps(entry, default=str)
