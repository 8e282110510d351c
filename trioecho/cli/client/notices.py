"""What the client tells the person: one line each on standard error, coloured only on a terminal."""

from __future__ import annotations

import os
import sys

from trioecho.client import Away, Change, Connected

__all__ = ["Notices"]

DIM, YELLOW, PLAIN = "\033[2m", "\033[33m", "\033[0m"


class Notices:
    """Where notices go. ``quiet`` keeps all but warnings to itself."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._colours = sys.stderr.isatty() and "NO_COLOR" not in os.environ

    def tell(self, text: str) -> None:
        """Tell something that is fine."""
        if not self._quiet:
            self._write(text, DIM)

    def warn(self, text: str) -> None:
        """Tell something that is not."""
        self._write(text, YELLOW)

    def change(self, where: str, change: Change) -> None:
        """Tell a change of the connection's state."""
        match change:
            case Connected(away=0.0):
                self.tell(f"connected to {where}")
            case Connected(away=away):
                self.warn(f"connected to {where} again, after {duration(away)}")
            case Away(error=error, attempt=attempt, delay=delay):
                self.warn(f"{error}; attempt {attempt} in {duration(delay)}")

    def _write(self, text: str, colour: str) -> None:
        sys.stderr.write(f"{colour}{text}{PLAIN}\n" if self._colours else f"{text}\n")
        sys.stderr.flush()


def duration(seconds: float) -> str:
    """Seconds as a person says them."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"
