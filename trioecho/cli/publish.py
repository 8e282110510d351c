"""``trioecho publish``: publish messages in a room through the engine that servers share."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, ClassVar

import trio
import typer

from trioecho.cli.errors import Failure
from trioecho.cli.option_groups import spread
from trioecho.engine_url import EngineOption, needing_hiredis
from trioecho.option_kinds import Seconds, Text
from trioecho.options import Group, OptionError

__all__ = ["publish"]


@dataclass(frozen=True, kw_only=True)
class Publishing(Group):
    """Which engine."""

    title: ClassVar = "Engine"

    engine: Annotated[
        str | None,
        EngineOption(
            "The Redis or Valkey that the servers share, as they name it. A password in it is safer in a"
            " file or a variable."
        ),
    ] = field(default=None, repr=False)
    """The engine's URL."""

    engine_prefix: Annotated[str, Text("What the servers' keys and channels begin with.")] = "te1"
    """The servers' prefix."""

    engine_patience: Annotated[float, Seconds("How long to wait for an engine that is away.")] = 5.0
    """How long to wait (seconds)."""


@spread(publishing=Publishing)
def publish(
    *,
    room: Annotated[str, typer.Argument(metavar="ROOM", help="The room, as in /news.")],
    messages: Annotated[list[str], typer.Argument(metavar="MESSAGE", help="A message.")],
    binary: Annotated[
        bool, typer.Option("--binary", "-b", help="Publish binary messages instead of text.")
    ] = False,
    publishing: Publishing,
) -> None:
    """
    Publish each MESSAGE in ROOM, on all servers that share an engine, and print nothing.

    No connection to a server is needed. Exit code 0 means that the engine has all messages; 1 that it has not
    taken one of them; 2 that the command was wrong.
    """
    if publishing.engine is None:
        raise OptionError("engine", "is needed: the one that the servers name")
    with needing_hiredis():
        from trioecho.engine import EngineLost, publisher
    url, options = publishing.engine, publishing

    async def work() -> None:
        async with publisher(
            url, engine_prefix=options.engine_prefix, engine_patience=options.engine_patience
        ) as engine:
            for message in messages:
                content = message.encode(errors="surrogateescape") if binary else message
                await engine.publish(room, content)

    try:
        trio.run(work)
    except EngineLost as error:
        raise Failure(str(error)) from None
    except ValueError as error:
        if isinstance(error, OptionError):
            raise
        raise Failure(str(error)) from None
