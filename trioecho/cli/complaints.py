"""
What is wrong with the arguments of a command, in one sentence like those of our own options.

Typer finds it, and has words for it: "Invalid value for '--port' (env var: 'TRIOECHO_PORT'): 'x' is not a
whole number". Its exception classes have no public base, so they are known by their names; one that is new
is said in typer's words.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

__all__ = ["complaint_of", "help_in"]


def help_in(error: Exception) -> str | None:
    """Return the help, if that is what ``error`` is about: nothing was asked for."""
    return str(error) if type(error).__name__ == "NoArgsIsHelpError" else None


def complaint_of(error: Any) -> str | None:
    """Return what typer says by ``error``, as a sentence; ``None`` if it is no such exception."""
    if not hasattr(error, "format_message"):
        return None
    match type(error).__name__:
        case "BadParameter":
            # The words before a choice that is none are the validator's, and tell nobody anything.
            sentence = f"{_name(error)} {error.message.replace('Value error, ', '')}"
        case "MissingParameter":
            sentence = f"{_name(error)} is missing{_see(error)}"
        case "NoSuchOption":
            name = error.message.removeprefix("No such option: ")
            sentence = f"there is no option {name}{_instead(error.possibilities or ()) or _see(error)}"
        case "BadOptionUsage":
            takes = "takes no value" if "does not take" in error.message else "needs a value"
            sentence = f"{error.option_name} {takes}"
        case _:
            sentence = _other(error)
    return sentence.strip().removesuffix(".")


def _other(error: Any) -> str:
    """Say what is known only by its text."""
    said = str(error.format_message())
    if (extra := re.fullmatch(r"Got unexpected extra argument\(s\) \((.*)\)", said, re.DOTALL)) is not None:
        return f"nothing is expected where {extra[1]!r} stands{_see(error)}"
    if (command := re.fullmatch(r"No such command ('.*?')\.(?: Did you mean (.*)\?)?", said)) is not None:
        there = f": did you mean {command[2]}?" if command[2] else _see(error)
        return f"there is no command {command[1]}{there}"
    return said


def _name(error: Any) -> str:
    """Return what the user calls the parameter: its flag, or its variable if that was used, or its place."""
    param = error.param
    if error.param_hint is not None:
        return error.param_hint if isinstance(error.param_hint, str) else " / ".join(error.param_hint)
    if param is None:
        return ""
    source = error.ctx.get_parameter_source(param.name) if error.ctx is not None else None
    if source is not None and source.name == "ENVIRONMENT":
        return str(param.envvar)
    if param.param_type_name == "option":
        return str(max(param.opts, key=len))
    return str(param.metavar or param.name).strip("[].").upper()


def _instead(possibilities: Iterable[str]) -> str:
    *others, last = sorted(possibilities) or [""]
    return f": did you mean {', '.join(others)}{' or ' if others else ''}{last}?" if last else ""


def _see(error: Any) -> str:
    return "" if error.ctx is None else f": see {error.ctx.command_path} --help"
