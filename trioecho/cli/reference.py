"""The reference of the command line, as Markdown: every command with its options, made from the code."""

from __future__ import annotations

from typing import Any

import typer
from typer.main import get_command

__all__ = ["command_reference", "options_reference"]

HEAD = "| option | default | variable | meaning |\n|---|---|---|---|"


def options_reference() -> str:
    """Return the options of ``trioecho serve``: a table for each group."""
    from trioecho.cli import app  # here, because it imports every command

    commands: Any = get_command(app)
    return command_reference(commands.get_command(typer.Context(commands), "serve"))


def command_reference(command: Any) -> str:
    """Return the arguments and options of a command: a table for each group."""
    context = typer.Context(command)
    groups: dict[str, list[str]] = {}
    for parameter in command.params:
        is_argument = parameter.param_type_name == "argument"
        title = parameter.rich_help_panel or ("Arguments" if is_argument else "Options")
        row = _argument(parameter) if is_argument else _row(parameter, context)
        groups.setdefault(title, []).append(row)
    return "\n".join([f"### {title}\n\n{HEAD}\n" + "\n".join(rows) + "\n" for title, rows in groups.items()])


def _argument(argument: Any) -> str:
    name = (argument.metavar or argument.name).strip("[].").upper()
    default = f"`{argument.default}`" if argument.default else ""
    return f"| `{name}` | {default} |  | {argument.help} |"


def _row(option: Any, context: typer.Context) -> str:
    flags = "`, `".join([*option.opts, *option.secondary_opts])
    value = "" if option.is_flag else f" {option.metavar or option.display_type(context).strip('<>')}"
    default = option.show_default if isinstance(option.show_default, str) else option.default
    if isinstance(default, list):
        default = ", ".join(default)
    shown = "on" if default is True else "" if default in (None, False, "") else f"`{default}`"
    variable = f"`{option.envvar}`" if option.envvar else ""
    cells = [f"`{flags}{value}`", shown, variable, option.help]
    return f"| {' | '.join([cell.replace('|', chr(92) + '|') for cell in cells])} |"
