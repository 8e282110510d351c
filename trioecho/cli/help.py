"""
What ``--help`` prints: for every command the same, readable at 80 columns, with nothing cut.

Typer draws a table with a column each for long, short and negative flags and for types, which leaves 30
columns for the text. Here an option's flags stand to the left of what it does, or above it if they are long;
below stand its default and its environment variable. What a placeholder such as SIZE may be is said once, at
the end.
"""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["Command", "Group", "default_of_parameter", "help_of", "placeholder"]

WIDEST = 100
"""Longer lines are hard to read (columns)."""

FLAGS_WIDTH = 26
"""What flags may take up beside their explanation (columns); longer ones stand above it."""

PLACEHOLDERS = {
    "SIZE": "SIZE is a number of bytes, or has a unit: 512KiB, 4MiB, 1GiB.",
    "SECONDS": "SECONDS is a number without a unit: 20 or 0.5.",
}
"""What is to be said of a placeholder that does not explain itself."""

HEADING, FLAG, NOTE = "bold", "cyan", "dim"

UNBROKEN = "\N{NO-BREAK SPACE}"
"""Stands for a space while lines are broken."""


class Command(TyperCommand):
    """A command with our help."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Return what follows the command's name in its usage."""
        arguments = [param for param in self.get_params(ctx) if isinstance(param, TyperArgument)]
        return ["[OPTIONS]", *(_in_usage(argument) for argument in arguments)]

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help."""
        formatter.write(_help(self, ctx, " ".join(self.collect_usage_pieces(ctx)), {}))


class Group(TyperGroup):
    """A command of commands, with our help."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help."""
        commands = {name: self.get_command(ctx, name) for name in self.list_commands(ctx)}
        about = {
            name: _sentence(command.help or "")
            for name, command in commands.items()
            if command is not None and not command.hidden
        }
        formatter.write(_help(self, ctx, "[OPTIONS] COMMAND [ARGUMENTS]...", about))


def _help(command: TyperCommand | TyperGroup, ctx: Any, usage: str, commands: dict[str, str]) -> str:
    """Return a command's help, with colour if standard output is a terminal."""
    from rich.console import Console

    console = Console(highlight=False)
    panels = _panels(command, ctx)
    with console.capture() as capture:
        _paragraph(console, f"Usage: {ctx.command_path} {usage}")
        for paragraph in inspect.cleandoc(command.help or "").split("\n\n"):
            console.print()
            _paragraph(console, " ".join(paragraph.split()))
        if commands:
            _heading(console, "Commands")
            for name, about in commands.items():
                _entry(console, name, about, "")
        for title, params in panels.items():
            _heading(console, title)
            for param in params:
                _entry(console, _left(param, ctx), help_of(param), _notes(param, ctx))
        used = {param.metavar for params in panels.values() for param in params}
        explained = [sentence for name, sentence in PLACEHOLDERS.items() if name in used]
        if explained:
            console.print()
            _paragraph(console, " ".join(explained))
    return capture.get().rstrip("\n")


def _panels(command: TyperCommand | TyperGroup, ctx: Any) -> dict[str, list[Any]]:
    """Return the parameters by the headings they stand under: arguments first, what has no heading last."""
    panels: dict[str, list[Any]] = {}
    for param in command.get_params(ctx):
        if not getattr(param, "hidden", False):
            title = "Arguments" if isinstance(param, TyperArgument) else "Options"
            panels.setdefault(getattr(param, "rich_help_panel", None) or title, []).append(param)
    order = sorted(panels, key=lambda title: (title != "Arguments", title == "Options"))
    return {title: panels[title] for title in order}


def _left(param: Any, ctx: Any) -> str:
    if isinstance(param, TyperArgument):
        return placeholder(param, ctx)
    names = [*sorted(param.opts, key=lambda name: name.startswith("--")), *param.secondary_opts]
    separator = " / " if param.secondary_opts else ", "
    return f"{separator.join(names)} {placeholder(param, ctx)}"


def placeholder(param: Any, ctx: Any) -> str:
    """Return what stands for a parameter's value; nothing for a switch."""
    if isinstance(param, TyperOption) and param.is_flag:
        return ""
    if param.metavar:
        return str(param.metavar).strip("[].")
    if isinstance(param, TyperArgument):
        return str(param.name).upper()
    return "|".join(_choices(param, ctx)) or str(param.name).upper()


def _in_usage(argument: TyperArgument) -> str:
    name = (argument.metavar or argument.name or "").strip("[].").upper()
    name = name if argument.required else f"[{name}]"
    return name if argument.nargs == 1 else f"{name}..."


def _choices(param: Any, ctx: Any) -> list[str]:
    """Return the words that a parameter is one of, if it is one of a few."""
    typed = str(param.display_type(ctx)).strip("<>")
    return typed.split("|") if "|" in typed else []


def help_of(param: Any) -> str:
    """Return what a parameter's help says, as one line."""
    return " ".join((getattr(param, "help", None) or "").split())


def _notes(param: Any, ctx: Any) -> str:
    """Return what is not in the text: the words to choose from, the default, the environment variable."""
    notes = []
    choices = _choices(param, ctx)
    if choices and param.metavar and not all(choice in help_of(param) for choice in choices):
        notes.append(f"one of: {', '.join(choices)}")
    default = default_of_parameter(param)
    if default:
        notes.append(f"default: {default}")
    if param.envvar:
        notes.append(f"env: {param.envvar}")
    # A break inside a note would be hard to read.
    return f"[{', '.join(note.replace(' ', UNBROKEN) for note in notes)}]" if notes else ""


def default_of_parameter(param: Any) -> str:
    """Return a parameter's default as it would be typed; empty if there is none."""
    if isinstance(param.show_default, str):
        return param.show_default
    if not param.show_default or param.default is None or callable(param.default):
        return ""
    if isinstance(param.default, bool):
        # What is off unless it is given needs no word.
        return param.opts[-1] if param.default else ""
    if isinstance(param.default, (list, tuple)):
        return " ".join(str(item) for item in param.default)
    return f"{param.default:g}" if isinstance(param.default, float) else str(param.default)


def _sentence(text: str) -> str:
    """Return the first sentence of a help text."""
    first = " ".join(inspect.cleandoc(text).partition("\n\n")[0].split())
    return first.partition(". ")[0].removesuffix(".") + "."


def _heading(console: Console, title: str) -> None:
    console.print()
    console.print(f"{title}:", style=HEADING, markup=False)


def _paragraph(console: Console, text: str) -> None:
    for line in _wrap(text, min(console.width, WIDEST)):
        console.print(line, markup=False, soft_wrap=True)


def _entry(console: Console, left: str, about: str, notes: str) -> None:
    """Print one line of a list, or as many as it takes."""
    from rich.text import Text

    width = max(min(console.width, WIDEST) - FLAGS_WIDTH - 2, 20)
    rest = [Text(line) for line in _wrap(about, width)]
    rest += [Text(line, style=NOTE) for line in _wrap(notes, width)]
    start = Text("  ").append(left.rstrip(), style=FLAG)
    if len(start) <= FLAGS_WIDTH and rest:
        start.pad_right(FLAGS_WIDTH + 2 - len(start))
        start.append_text(rest.pop(0))
    for line in [start, *(Text(" " * (FLAGS_WIDTH + 2)).append_text(line) for line in rest)]:
        console.print(line, soft_wrap=True)


def _wrap(text: str, width: int) -> Iterator[str]:
    """Break text between words only: flags and variables are to be copied whole."""
    for line in textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False):
        yield line.replace(UNBROKEN, " ")
