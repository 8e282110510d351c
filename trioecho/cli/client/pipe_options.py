"""The options of how messages are written to a pipe and read from it, and of when to stop."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Annotated

import typer

from trioecho.cli.client.connect_options import MESSAGES
from trioecho.cli.client.formats import Format, Json, Raw, Records
from trioecho.cli.parsing import whole
from trioecho.cli.stdio import STDOUT
from trioecho.cli.typer_options import option, seconds

__all__ = ["Piping"]

ENDING = "When to end"


@dataclass(frozen=True, kw_only=True)
class Piping:
    """How to read and write messages, as given on the command line."""

    json: Annotated[
        bool,
        option(
            MESSAGES, 'JSON lines both ways: {"time", "type", "room", "data" or "base64"}.', "--json", "-j"
        ),
    ] = False
    null: Annotated[
        bool, option(MESSAGES, "Messages end with a NUL, not a newline, both ways.", "--null", "-0")
    ] = False
    raw: Annotated[
        bool, option(MESSAGES, "Write messages unchanged, with nothing between them.", "--raw")
    ] = False
    binary: Annotated[
        bool,
        option(MESSAGES, "Send binary messages: one a line, with --raw one a block.", "--binary", "-b"),
    ] = False
    count: Annotated[
        int | None,
        option(
            ENDING,
            "End after so many messages; exit code 1 if fewer come.",
            "--count",
            "-n",
            metavar="N",
            parser=whole,
        ),
    ] = None
    timeout: Annotated[
        float | None, seconds(ENDING, "End when no message has come or gone for so long.", "--timeout")
    ] = None

    def form(self, room: str) -> Format:
        """
        Choose the format. ``room`` is what JSON lines say of where a message came from.

        Raises:
            typer.BadParameter: the options contradict each other.

        """
        if self.json + self.null + self.raw > 1:
            raise typer.BadParameter("--json, --null and --raw exclude each other")
        if self.json and self.binary:
            raise typer.BadParameter(
                "--binary has no meaning with --json, where each message says what it is"
            )
        if self.count is not None and self.count < 1:
            raise typer.BadParameter("--count must be at least 1")
        if self.timeout is not None and not self.timeout > 0:
            raise typer.BadParameter("--timeout must be more than 0 seconds")
        safe = os.isatty(STDOUT)
        if self.json:
            return Json(room, safe=safe)
        if self.raw:
            return Raw(self.binary, safe=safe)
        return Records(b"\0" if self.null else b"\n", self.binary, safe=safe)
