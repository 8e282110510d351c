"""The options of ``trioecho bench``, as the groups that its help shows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from trioecho.cli.parsing import number, whole
from trioecho.cli.parsing import size as parse_size
from trioecho.cli.typer_options import count, option, seconds
from trioecho.options import OptionError

__all__ = ["LoadOptions", "OutputOptions", "ServerOptions"]

LOAD, SERVER, OUTPUT = "Load", "Server", "Output"

Mode = Literal["flood", "paced", "connect", "idle", "storm"]

RATE, STORM_RATE = 50.0, 10.0
"""Messages a second, if nothing is said: in a storm it is the clients that are the load."""


@dataclass(frozen=True, kw_only=True)
class LoadOptions:
    """What is done to the server."""

    mode: Annotated[
        Mode,
        option(
            LOAD,
            "Send as fast as the receivers take it, or at a fixed rate; only connect, or connect and"
            " stay; or see --storm.",
        ),
    ] = "flood"
    storm: Annotated[
        bool,
        option(
            LOAD,
            "Cut all subscribers of a paced load at once and let them come back at once: --mode storm.",
            "--storm",
        ),
    ] = False
    subscribers: Annotated[int, count(LOAD, "Connections that only listen, in all rooms together.")] = 200
    stayed: Annotated[int, count(LOAD, "With --storm: further connections that listen and are not cut.")] = (
        100
    )
    publishers: Annotated[int, count(LOAD, "Connections that send, in each room.")] = 1
    rooms: Annotated[int, count(LOAD, "Rooms; with more than one, /0, /1, ... follow the path.")] = 1
    window: Annotated[
        int, count(LOAD, "With flood: how many messages of one publisher may be in flight.")
    ] = 64
    rate: Annotated[
        float | None,
        option(
            LOAD,
            "With paced and storm: messages a second from each publisher.",
            metavar="N",
            parser=number,
            show_default="50; in a storm 10",
        ),
    ] = None
    size: Annotated[int, option(LOAD, "Size of a message.", metavar="SIZE", parser=parse_size)] = 128
    text: Annotated[bool, option(LOAD, "Send text or binary messages.", "--text/--binary")] = True
    lines: Annotated[
        Path | None,
        option(
            LOAD, "Make the messages of the lines of this file, cut or filled to the size.", metavar="FILE"
        ),
    ] = None
    warmup: Annotated[float, seconds(LOAD, "How long messages flow before anything is measured.")] = 1.0
    duration: Annotated[float, seconds(LOAD, "How long to measure.")] = 5.0
    stall: Annotated[float, seconds(LOAD, "End the run if nothing is delivered for so long.")] = 5.0
    at_once: Annotated[int, count(LOAD, "Handshakes under way at one time.")] = 100
    source: Annotated[
        list[str] | None,
        option(
            LOAD,
            "Address or network to connect from, in turn; repeatable. Without it, the system's choice,"
            " and several of 127.0.0.0/8 where one has too few ports.",
            metavar="ADDRESS",
            show_default=False,
        ),
    ] = None

    def __post_init__(self) -> None:
        """Check what contradicts itself."""
        if self.storm and self.mode not in ("flood", "storm"):
            raise OptionError("storm", f"is a mode of its own, which cannot be --mode {self.mode} too")

    @property
    def chosen_mode(self) -> Mode:
        """The mode, whichever way it was said."""
        return "storm" if self.storm else self.mode

    @property
    def chosen_rate(self) -> float:
        """The rate, or what is usual in the mode."""
        if self.rate is not None:
            return self.rate
        return STORM_RATE if self.chosen_mode == "storm" else RATE


@dataclass(frozen=True, kw_only=True)
class ServerOptions:
    """What there is to know about the server."""

    to: Annotated[
        Literal["others", "everyone"], option(SERVER, "Who should receive a message: see serve --to.")
    ] = "others"
    compress: Annotated[
        bool,
        option(
            SERVER,
            "Offer the server to compress what it sends, and inflate that.",
            "--compress/--no-compress",
        ),
    ] = False
    token: Annotated[
        str | None,
        option(
            SERVER,
            "Bearer token of every connection. Other users can see it on a command line.",
            envvar="TRIOECHO_TOKEN",
            metavar="TEXT",
        ),
    ] = None
    token_file: Annotated[
        Path | None, option(SERVER, "Read the bearer token from a file.", metavar="FILE")
    ] = None
    token_as: Annotated[
        Literal["header", "subprotocol"],
        option(SERVER, "Send the token in the Authorization header, or as a subprotocol."),
    ] = "header"
    cacert: Annotated[
        Path | None,
        option(SERVER, "Trust the authorities in this file (PEM) instead of the system's.", metavar="FILE"),
    ] = None
    insecure: Annotated[bool, option(SERVER, "Trust any certificate.", "--insecure")] = False
    resume: Annotated[
        bool, option(SERVER, "Resume TLS sessions: all connections after the first.", "--resume/--no-resume")
    ] = False
    pid: Annotated[
        int | None,
        option(
            SERVER,
            "Process of the server; its CPU time and memory are reported too.",
            metavar="PID",
            parser=whole,
        ),
    ] = None


@dataclass(frozen=True, kw_only=True)
class OutputOptions:
    """How the report is printed."""

    as_json: Annotated[bool, option(OUTPUT, "Print the report as one JSON object.", "--json")] = False
