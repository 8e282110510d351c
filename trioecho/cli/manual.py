"""
``trioecho manual``: the manual's pages, which are Markdown files in the package, and files that go with them.

At a terminal a page is rendered to its width; in a pipe it comes as it is in the file, so that it can be
searched, saved or converted. A file for another program (a dashboard, alerts) always comes as it is.
"""

from __future__ import annotations

import os
import re
from difflib import get_close_matches
from importlib.resources import files
from typing import Annotated

import typer

from trioecho.cli.stdio import STDOUT, print_all

__all__ = ["file_names", "manual", "page_names", "read_page"]

INDEX = "index"

WIDEST = 100
"""Text in longer lines than this (columns) is hard to read, however wide the terminal is."""

LIKENESS = 0.4
"""How similar a page's name must be to be suggested: enough for two wrong letters in ``http``."""

RELATIVE_LINK = re.compile(r"\[([^\]]+)\]\((?![a-z]+:)[^)]*\)")
"""A link to another page. It leads nowhere from a terminal, where only its text is shown."""


def page_names() -> list[str]:
    """Return the names of all pages, sorted: each is a file's name without ``.md``."""
    return sorted(_names(".md"))


def file_names() -> list[str]:
    """Return the names of the files for other programs, sorted, without what follows the dot."""
    return sorted([*_names(".json"), *_names(".yml")])


def read_page(name: str) -> str:
    """Return the Markdown of a page that exists."""
    return _read(f"{name}.md")


def _names(suffix: str) -> dict[str, str]:
    """Return the files with this end of their names, by their names without it."""
    names = [entry.name for entry in files("trioecho").joinpath("manual").iterdir()]
    return {name.removesuffix(suffix): name for name in names if name.endswith(suffix)}


def _read(name: str) -> str:
    return files("trioecho").joinpath("manual", name).read_text(encoding="utf-8")


def _completions() -> list[str]:
    return sorted([*page_names(), *file_names()])


def manual(
    page: Annotated[
        str,
        typer.Argument(
            metavar="PAGE",
            help="The page to show, or the file (grafana, alerts); without one, the list of pages.",
            show_default=False,
            autocompletion=_completions,
        ),
    ] = INDEX,
) -> None:
    """
    Show a page of the manual, or the list of pages.

    At a terminal it is rendered; in a pipe it is plain Markdown.
    """
    name = _known(page)
    if name in (found := _names(".json") | _names(".yml")):
        return print_all(_read(found[name]))
    text = read_page(name)
    print_all(_rendered(text) if os.isatty(STDOUT) else text)


def _known(page: str) -> str:
    """
    Return the name of the page or file that is meant; its file's name and any case will do.

    Raises:
        typer.BadParameter: there is no such page.

    """
    names = [*page_names(), *file_names()]
    name = re.sub(r"\.(md|json|yml)$", "", page.strip().lower()).replace(" ", "-").replace("_", "-")
    if name in names:
        return name
    near = get_close_matches(name, names, cutoff=LIKENESS)
    advice = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(page_names())}"
    raise typer.BadParameter(f"the manual has no page {page[:100]!r}: {advice}")


def _rendered(text: str) -> str:
    # Loaded here because rendering takes longer to load than every other command takes to start.
    from rich.console import Console
    from rich.markdown import Markdown

    console = Console()
    console.width = min(console.width, WIDEST)
    with console.capture() as capture:
        console.print(Markdown(RELATIVE_LINK.sub(r"\1", text), hyperlinks=False))
    return capture.get()
