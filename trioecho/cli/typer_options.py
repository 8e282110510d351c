"""
How an option that only the command line knows is declared: in the annotation of its field, for typer.

Without a flag it is named as its field is.
"""

from __future__ import annotations

from typing import Any

import typer

from trioecho.cli.parsing import number, whole

__all__ = ["count", "option", "seconds"]


def option(panel: str, help: str, *flags: str, **more: Any) -> Any:
    """Declare one option: its group in the help, its text, its flags."""
    return typer.Option(*flags, rich_help_panel=panel, help=help, **more)


def count(panel: str, help: str, *flags: str) -> Any:
    """Declare an option that counts something."""
    return option(panel, help, *flags, metavar="N", parser=whole)


def seconds(panel: str, help: str, *flags: str) -> Any:
    """Declare an option in seconds."""
    return option(panel, help, *flags, metavar="SECONDS", parser=number)
