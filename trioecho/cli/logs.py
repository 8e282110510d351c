"""Logging for the command line: to stderr, as text for people or as JSON lines for machines."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, ClassVar, Literal

from trioecho.cli.log_writer import LogWriter
from trioecho.cli.stdio import STDERR
from trioecho.option_kinds import Choice
from trioecho.options import Group

__all__ = ["Logging", "logging_to_stderr", "warn_later"]

LogFormat = Literal["text", "json"]
LogLevel = Literal["debug", "info", "warning", "error"]

COLOURS = {"debug": "\x1b[2m", "warning": "\x1b[33m", "error": "\x1b[31m", "critical": "\x1b[31m"}
PLAIN = "\x1b[0m"

_warnings: list[str] = []
"""What was found while the command line was read, before anybody knew how to log."""


def warn_later(warning: str) -> None:
    """Keep a warning until the command logs; one that has no log does without."""
    _warnings.append(warning)


@dataclass(frozen=True, kw_only=True)
class Logging(Group):
    """What to log, and how."""

    title: ClassVar = "Log"

    log_format: Annotated[LogFormat, Choice("Lines for people, or JSON.", "FORMAT", of=LogFormat)] = "text"
    """Lines for people, or JSON lines for machines."""

    log_level: Annotated[LogLevel, Choice("The least important kind to log.", "LEVEL", of=LogLevel)] = "info"
    """The least important kind to log."""


@contextmanager
def logging_to_stderr(log: Logging) -> Iterator[None]:
    """Send the log, and other libraries' warnings, to stderr; at the end, write what is queued.

    The levels are put back at the end, for a process in which the command is not the last thing to run.
    """
    root, ours = logging.getLogger(), logging.getLogger("trioecho")
    before = root.level, ours.level
    writer = LogWriter(STDERR)
    writer.setFormatter(JsonFormatter() if log.log_format == "json" else TextFormatter(os.isatty(STDERR)))
    root.addHandler(writer)
    root.setLevel(logging.WARNING)
    ours.setLevel(log.log_level.upper())
    while _warnings:
        ours.warning("%s", _warnings.pop(0))
    try:
        yield
    finally:
        root.removeHandler(writer)
        root.setLevel(before[0])
        ours.setLevel(before[1])
        writer.close()


class TextFormatter(logging.Formatter):
    """``2026-01-31 23:59:59 info connected address=127.0.0.1:50000 room=/``, with colour on a terminal."""

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
