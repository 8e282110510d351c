"""What the client reports besides messages: lines on standard error, coloured only on a terminal."""

from __future__ import annotations

import os
import sys

from trioecho.client import Change, Connected, Missed, Reconnecting
from trioecho.protocol.escape import escape

__all__ = ["Notices"]

DIM, YELLOW, PLAIN = "\033[2m", "\033[33m", "\033[0m"


class Notices:
    """Where notices go. ``quiet`` suppresses all but warnings."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._colours = sys.stderr.isatty() and "NO_COLOR" not in os.environ

    def info(self, text: str) -> None:
        """Report that something went well."""
        if not self._quiet:
            self._write(text, DIM)

    def warn(self, text: str) -> None:
        """Report that something did not."""
        self._write(text, YELLOW)

    def change(self, where: str, change: Change) -> None:
        """Report a change of the connection's state."""
        match change:
            case Connected(downtime=0.0):
                self.info(f"connected to {where}")
            case Connected(downtime=downtime):
                self.warn(f"reconnected to {where} after {duration(downtime)}")
            case Missed(count=None):
                self.warn("messages were missed: nobody knows how many")
            case Missed(count=count):
                self.warn("1 message was missed" if count == 1 else f"{count} messages were missed")
            case Reconnecting(error=error, attempt=attempt, delay=delay):
                self.warn(f"{error}; attempt {attempt} in {duration(delay)}")

    def _write(self, text: str, colour: str) -> None:
        text = escape(text)
        sys.stderr.write(f"{colour}{text}{PLAIN}\n" if self._colours else f"{text}\n")
        sys.stderr.flush()


def duration(seconds: float) -> str:
    """Write seconds as a person would."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"
