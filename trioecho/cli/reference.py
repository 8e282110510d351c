"""The reference of the command line, as Markdown: every command with its options, made from the code."""

from __future__ import annotations

from typing import Any

import typer
from typer.main import get_command

__all__ = ["options_reference"]

HEAD = "| option | default | variable | meaning |\n|---|---|---|---|"


def options_reference() -> str:
    """Return a section for each command, with a table for each group of its options."""
    from trioecho.cli import app  # here, because it imports every command

    commands: Any = get_command(app)
    context = typer.Context(commands)
    found = {name: commands.get_command(context, name) for name in commands.commands}
    return "\n".join([_section(name, command, context) for name, command in found.items()])


def _section(name: str, command: Any, context: typer.Context) -> str:
    arguments = [parameter for parameter in command.params if parameter.param_type_name == "argument"]
    usage = " ".join(["trioecho", name, "[OPTIONS]", *[_argument(argument) for argument in arguments]])
    groups: dict[str, list[str]] = {}
    for option in command.params:
        if option not in arguments:
            groups.setdefault(option.rich_help_panel or "Others", []).append(_row(option, context))
    text = " ".join((command.help or "").split("\n\n")[0].split())
    parts = [f"## trioecho {name}\n\n{text}\n\n`{usage}`\n"]
    parts += [f"### {group}\n\n{HEAD}\n" + "\n".join(rows) + "\n" for group, rows in groups.items()]
    return "\n".join(parts)


def _argument(argument: Any) -> str:
    name = (argument.metavar or argument.name).strip("[].").upper()
    return f"[{name}]..." if argument.nargs == -1 else name if argument.required else f"[{name}]"


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
