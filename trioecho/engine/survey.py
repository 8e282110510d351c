"""A survey: all nodes of an engine are asked once how they are; see :mod:`trioecho.engine.answers`."""

from __future__ import annotations

from typing import NamedTuple

import trio

from trioecho.engine.answers import answer_channel, question_channel
from trioecho.engine.connection import Connection
from trioecho.engine.dial import greet
from trioecho.engine.dialer import Dialer
from trioecho.engine.errors import EngineLost
from trioecho.engine_url import parse_engine_url
from trioecho.nurseries import open_plain_nursery
from trioecho.rooms.place import new_epoch

__all__ = ["Findings", "Survey"]

PATIENCE = 5.0
"""How long all of it may take (seconds)."""

ANSWER_PATIENCE = 2.0
"""How long the nodes may take to answer (seconds): of one that does not, only that it is there is known."""

MOST_BYTES = 16 * 2**20
"""More than a thousand nodes have to say (bytes)."""


class Findings(NamedTuple):
    """What was found: how many nodes there are, what they said, and the engine's round trip (seconds)."""

    nodes: int
    answers: list[bytes]
    round_trip: float


class Survey:
    """
    Asks the nodes that share the engine at ``url`` under ``prefix``.

    Raises:
        OptionError: the URL can't be.

    """

    def __init__(self, url: str, prefix: str) -> None:
        self._address = parse_engine_url(url)
        self._dialer = Dialer(self._address)
        self._prefix = prefix

    @property
    def host(self) -> str:
        """Who is asked, without anything secret."""
        return self._dialer.host or ",".join(map(str, self._address.hosts))

    async def ask(self) -> Findings:
        """
        Ask, over a connection of its own.

        Raises:
            EngineLost: the engine can't be asked; it says why.

        """
        hosts = 1 if self._address.primary is not None else len(self._address.hosts)
        lost = EngineLost(f"it does not answer within {PATIENCE:g} seconds")
        for _ in range(hosts):  # one of several is the primary
            with trio.move_on_after(PATIENCE / hosts):
                try:
                    return await self._ask()
                except EngineLost as error:
                    lost = error
        raise lost

    async def _ask(self) -> Findings:
        stream = await self._dialer.connect()
        answers: list[bytes] = []
        answered, size = trio.Event(), 0

        def take(channel: bytes, message: bytes) -> None:
            nonlocal answered, size
            size += len(message)
            if size <= MOST_BYTES:
                answers.append(message)
            answered.set()

        try:
            async with open_plain_nursery() as nursery:
                connection = Connection(stream, take)
                nursery.start_soon(connection.run)
                await greet(connection, self._address)
                began = trio.current_time()
                await connection.call(b"PING")
                round_trip = trio.current_time() - began
                asker = new_epoch().encode()
                connection.subscribe([answer_channel(self._prefix, asker)])
                nodes = await connection.call(b"PUBLISH", question_channel(self._prefix), asker)
                with trio.move_on_after(ANSWER_PATIENCE):
                    while len(answers) < nodes and size <= MOST_BYTES:
                        await answered.wait()
                        answered = trio.Event()
                nursery.cancel_scope.cancel()
            return Findings(nodes, answers, round_trip)
        finally:
            await trio.aclose_forcefully(stream)
