"""Declared options as the command line takes them: a flag, a variable, a parser for what is typed."""

from __future__ import annotations

from dataclasses import dataclass
from inspect import Parameter
from pathlib import Path
from typing import Annotated, Any

import typer

from trioecho.access.tokens import parse_token
from trioecho.cli.parsing import number, secret, size, size_text, whole
from trioecho.option_kinds import Choice, File, Seconds, Secret, Share, Size, Switch, Texts, TokenPairs, Whole
from trioecho.options import Group, Option, OptionError, declared
from trioecho.settings import Settings

__all__ = [
    "default_text",
    "flag",
    "flags",
    "options_of",
    "parameters",
    "problem_of",
    "sentence_of",
    "taken",
    "variable",
]

PARSERS = {Size: size, Whole: whole, Seconds: number, Share: number}
"""How each kind of number is read; text needs nothing, and typer knows the words of a choice."""

FILE_SUFFIX = "_file"
"""What the name of a file ends with that holds a secret."""


@dataclass(frozen=True)
class SecretFile(Option):
    """The file that a secret may be read from, derived from the secret's own declaration."""

    metavar: str = "FILE"

    def check(self, name: str, value: Any) -> Path | None:
        """Take any path: whether it can be read shows when it is."""
        return None if value is None else Path(value)


def flag(name: str, option: Option | None = None) -> str:
    """Return an option's flag: ``--max-rooms`` for ``max_rooms``."""
    return f"--{(option.flag if option else '') or name.replace('_', '-')}"


def flags(name: str, option: Option) -> str:
    """Return all of an option's flags, as typer wants them and help shows them."""
    given = flag(name, option)
    return f"{given}/--no-{given.removeprefix('--')}" if isinstance(option, Switch) else given


def variable(name: str, option: Option) -> str:
    """Return an option's environment variable: ``TRIOECHO_MAX_ROOMS`` for ``max_rooms``."""
    return option.variable or f"TRIOECHO_{flag(name, option).removeprefix('--').replace('-', '_').upper()}"


def option_named(name: str) -> str:
    """Return the flag for the name of a keyword argument, as errors have it."""
    return flag(name, declared(Settings).get(name))


def problem_of(error: OptionError) -> str:
    """Return what is wrong with an option, without its name; other options are called by their flags."""
    problem = error.problem
    for name in error.mentions:
        problem = problem.replace(name, option_named(name))
    return problem


def sentence_of(error: OptionError) -> str:
    """Return what is wrong with an option, in which options are called by their flags."""
    return f"{option_named(error.option)} {problem_of(error)}"


def options_of(group: type[Group]) -> dict[str, Option]:
    """Return a group's own options as the command line has them: each secret is followed by its file."""
    found: dict[str, Option] = {}
    for name, option in declared(group).items():
        found[name] = option
        if isinstance(option, Secret):
            found[name + FILE_SUFFIX] = SecretFile(f"Read {flag(name, option)} from this file.")
    return found


def default_of(group: type[Group], name: str) -> Any:
    """Return an option's default; none for a secret's file."""
    return None if name not in declared(group) else getattr(group, name)


def default_text(option: Option, default: Any) -> str:
    """Write a default as it would be typed; empty if nothing would be."""
    if isinstance(option, Switch):
        return "on" if default else "off"
    if isinstance(option, Size):
        return size_text(default)
    if isinstance(option, (Seconds, Share, Whole)):
        return f"{default:g}" if isinstance(default, float) else str(default)
    if isinstance(option, TokenPairs):
        return ""
    if isinstance(option, Texts):
        return " ".join(default)
    return "" if default is None else str(default)


def parameters(group: type[Group]) -> list[Parameter]:
    """Return a group's own options as the parameters of a command."""
    return [_parameter(group, name, option) for name, option in options_of(group).items()]


def taken(group: type[Group], values: dict[str, Any]) -> dict[str, Any]:
    """
    Return a group's arguments for what was typed: secrets that are in files are read.

    Raises:
        Failure: a file cannot be read.
        OptionError: a secret is given twice, or its file does not hold one.

    """
    arguments = dict(values)
    for name, option in declared(group).items():
        if isinstance(option, Secret):
            file = arguments.pop(name + FILE_SUFFIX)
            arguments[name] = secret(name, arguments[name], file)
            if file is not None:
                _check_line(name, option, arguments[name], file)
        elif isinstance(option, TokenPairs):
            arguments[name] = [parse_token(text) for text in arguments[name]]
    return arguments


def _check_line(name: str, option: Secret, line: Any, file: Path) -> None:
    """Have what is wrong with a secret in a file said of the file."""
    try:
        option.check(name, line)
    except OptionError as error:
        raise OptionError(
            name + FILE_SUFFIX, f"must name a file of one line, and that of {file} {error.problem}"
        ) from None


def _parameter(group: type[Group], name: str, option: Option) -> Parameter:
    default = default_of(group, name)
    more: dict[str, Any] = {"parser": PARSERS[type(option)]} if type(option) in PARSERS else {}
    if option.metavar:
        more["metavar"] = option.metavar
    declaration = typer.Option(
        flags(name, option),
        envvar=variable(name, option),
        rich_help_panel=group.title,
        help=option.help,
        show_default=default_text(option, default) or False,
        **more,
    )
    if isinstance(option, (Texts, TokenPairs)):
        default = list(default)
    return Parameter(
        name,
        Parameter.KEYWORD_ONLY,
        default=default,
        annotation=Annotated[_typed(option), declaration],
    )


def _typed(option: Option) -> Any:
    """Return the type that typer is told: what its parser returns, or what it converts to itself."""
    if isinstance(option, Choice):
        return option.of | None if option.optional else option.of
    if isinstance(option, (Texts, TokenPairs)):
        return list[str]
    types: dict[type[Option], Any] = {Switch: bool, Size: int, Whole: int, Seconds: float, Share: float}
    return types.get(type(option), Path | None if isinstance(option, (SecretFile, File)) else str | None)
