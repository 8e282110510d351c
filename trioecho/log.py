"""
What happened, told to a person or a machine: one event, a few named values.

A log record's text is ``event name=value ...``; the values stand by themselves in its attribute ``fields``,
for a formatter that writes JSON.
"""

from __future__ import annotations

import json
import logging
import re
from typing import Any

__all__ = ["log_event", "logger"]

logger = logging.getLogger("trioecho")

PLAIN = re.compile(r"[!#-<>-\[\]-~]+")
"""What needs no quotes: printable ASCII without a space, a quotation mark, an equals sign or a backslash."""

LONGEST_VALUE = 200
"""A longer value is cut (characters): what a client chose must not fill the log."""


def log_event(level: int, event: str, **fields: Any) -> None:
    """Log ``event`` with its values, if anybody listens at this level."""
    if logger.isEnabledFor(level):
        fields = {name: _cut(value) for name, value in fields.items()}
        words = [event, *[f"{name}={_readable(value)}" for name, value in fields.items()]]
        logger.log(level, "%s", " ".join(words), extra={"event": event, "fields": fields})


def _cut(value: Any) -> Any:
    """Cut a long text, and say how much of it is missing."""
    if not isinstance(value, str) or len(value) <= LONGEST_VALUE:
        return value
    return f"{value[:LONGEST_VALUE]}... ({len(value) - LONGEST_VALUE} more characters)"


def _readable(value: Any) -> str:
    """
    Write a value so that it stays one word on one line.

    What a client chose (a room's name, a reason) may hold anything; quoted as JSON it can neither forge a
    line nor move a terminal's cursor.
    """
    if isinstance(value, float):
        return f"{value:.3f}"
    text = str(value)
    return text if PLAIN.fullmatch(text) else json.dumps(text)
