"""
The command line: arguments, environment, exit codes; each command is one module.

A wrong option, a port in use, a refused connection: one sentence on stderr that says what is wrong, never a
traceback. Exit codes: 0 fine, 1 it failed, 2 usage.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from trioecho import __version__
from trioecho.cli.bench import bench
from trioecho.cli.client.client import client
from trioecho.cli.client.listen import listen
from trioecho.cli.client.send import send
from trioecho.cli.complaints import complaint_of, help_in
from trioecho.cli.declared import sentence_of
from trioecho.cli.errors import Failure
from trioecho.cli.example import example
from trioecho.cli.help import Command, Group
from trioecho.cli.manual import manual
from trioecho.cli.publish import publish
from trioecho.cli.serve import serve
from trioecho.cli.stdio import hold_closed
from trioecho.cli.top.top import top
from trioecho.options import OptionError

__all__ = ["app", "main"]

app = typer.Typer(
    name="trioecho",
    cls=Group,
    help="A WebSocket broadcast server: what one client sends, every other client in its room gets.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"trioecho {__version__}")
        raise typer.Exit()


@app.callback()
def trioecho(
    version: Annotated[
        bool,
        typer.Option("--version", help="Show the version and exit.", callback=_print_version, is_eager=True),
    ] = False,
) -> None:
    """A WebSocket broadcast server: what one client sends, every other client in its room gets."""


for command in (serve, client, listen, send, publish, top, bench, example, manual):
    app.command(cls=Command)(command)


def main() -> None:
    """Run the command line and exit with its code: the entry point of the ``trioecho`` command."""
    hold_closed()
    try:
        status = app(prog_name="trioecho", standalone_mode=False)
    except Failure as failure:
        _complain(str(failure))
        status = 1
    except OptionError as error:
        _complain(sentence_of(error))
        status = 2
    except KeyboardInterrupt:
        status = 130
    except Exception as error:
        if (text := help_in(error)) is not None:
            sys.stderr.write(f"{text}\n")
        elif (sentence := complaint_of(error)) is None:
            raise  # a bug of ours, whose traceback is wanted
        else:
            _complain(sentence)
        status = getattr(error, "exit_code", 2)
    sys.exit(status if isinstance(status, int) else 0)


def _complain(sentence: str) -> None:
    sys.stderr.write(f"trioecho: {sentence}\n")
