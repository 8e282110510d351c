"""The command ``trioecho example``: programs to begin with, listed, shown and run."""

from __future__ import annotations

import ast
import runpy
import sys
from importlib import resources
from typing import Annotated

import typer

__all__ = ["example", "example_names", "run_program"]


def example(
    name: Annotated[
        str | None, typer.Argument(help="The example to run; without one, all are listed.", metavar="NAME")
    ] = None,
    show: Annotated[
        bool, typer.Option("--show", help="Show the program and do not run it: a file to begin with.")
    ] = False,
) -> None:
    """Run a program that has trioecho in it, or list those there are."""
    if name is None:
        width = max(map(len, example_names()))
        for each in example_names():
            about = (ast.get_docstring(ast.parse(_source(each))) or "").splitlines()[0]
            sys.stdout.write(f"{each:{width}}  {about}\n")
    elif name not in example_names():
        there = ", ".join(example_names())
        raise typer.BadParameter(f"there is no example {name[:100]!r}: there are {there}")
    elif show:
        sys.stdout.write(_source(name))
    else:
        run_program(f"trioecho.examples.{name}")


def example_names() -> list[str]:
    """Return the names of all examples, in the order of the alphabet."""
    files = resources.files("trioecho.examples").iterdir()
    return sorted(file.name[:-3] for file in files if file.name.endswith(".py") and file.name[0] != "_")


def run_program(module: str) -> None:
    """Run a module as a program; Ctrl-C comes out as itself, also from a nursery."""
    try:
        runpy.run_module(module, run_name="__main__")
    except BaseExceptionGroup as group:
        if group.split(KeyboardInterrupt)[1] is not None:
            raise
        raise KeyboardInterrupt from None


def _source(name: str) -> str:
    return (resources.files("trioecho.examples") / f"{name}.py").read_text(encoding="utf-8")
