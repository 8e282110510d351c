"""The options of every command as Markdown, made from their declarations: the manual's reference."""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperArgument

from trioecho.cli.declared import default_of, default_text, flags, options_of, variable
from trioecho.cli.help import default_of_parameter, help_of, placeholder
from trioecho.cli.logs import Logging
from trioecho.option_kinds import Choice
from trioecho.options import Group, Option, declared, groups_of
from trioecho.settings import Listening, Settings

__all__ = ["command_reference", "options_reference"]


def options_reference() -> str:
    """
    Return the options of ``trioecho serve``, as Markdown: a table for each group.

    Each is named as it is given on the command line, in the environment, and to ``trioecho.serve()``.
    """
    parts = []
    for group in (*groups_of(Listening), *groups_of(Settings), *groups_of(Logging)):
        rows = [_row(group, name, option) for name, option in options_of(group).items()]
        header = ["Option", "Variable", "`serve()`", "Default", "Unit", "What it does"]
        parts.append(_section(group.title, header, rows))
    return "\n".join(parts)


def command_reference(command: Any) -> str:
    """Return the arguments and options of a command, as Markdown: a table for each heading of its help."""
    context = typer.Context(command)
    sections: dict[str, list[list[str]]] = {}
    for param in command.params:
        is_argument = isinstance(param, TyperArgument)
        title = getattr(param, "rich_help_panel", None) or ("Arguments" if is_argument else "Options")
        names = [placeholder(param, context)] if is_argument else [*param.opts, *param.secondary_opts]
        value = "" if is_argument else placeholder(param, context)
        sections.setdefault(title, []).append(
            [
                f"`{', '.join(names)}{value and ' '}{value}`",
                f"`{param.envvar}`" if param.envvar else "",
                default_of_parameter(param),
                help_of(param),
            ]
        )
    header = ["Option", "Variable", "Default", "What it does"]
    return "\n".join(_section(title, header, rows) for title, rows in sections.items())


def _row(group: type[Group], name: str, option: Option) -> list[str]:
    is_keyword = name in declared(group) and group is not Logging
    help = option.help
    if isinstance(option, Choice) and not all(choice in help for choice in option.choices):
        help += f" One of {', '.join(option.choices)}."
    return [
        f"`{flags(name, option).replace('/', ' / ')}{option.metavar and ' '}{option.metavar}`",
        f"`{variable(name, option)}`",
        f"`{name}`" if is_keyword else "",
        default_text(option, default_of(group, name)),
        option.unit,
        help,
    ]


def _section(title: str, header: list[str], rows: list[list[str]]) -> str:
    lines = [header, ["---"] * len(header), *([cell.replace("|", r"\|") for cell in row] for row in rows)]
    return "\n".join([f"### {title}", "", *(f"| {' | '.join(line)} |" for line in lines), ""])
