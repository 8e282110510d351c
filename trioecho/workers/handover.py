"""
What a supervisor hands to each of its workers: sockets that are open already, and a line between the two.

It goes by file descriptors that the worker inherits, and one variable that says which is which. Over the line
the worker says that it is ready; its end means that the supervisor is gone.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass

import trio

__all__ = ["VARIABLE", "Handover", "received"]

VARIABLE = "TRIOECHO_WORKER"


class PrivateListener(trio.abc.Listener[trio.SocketStream]):
    """A worker's listener for its supervisor alone, so that the log need not tell people of it."""

    private = True

    def __init__(self, listening: trio.socket.SocketType) -> None:
        self.path = str(listening.getsockname())
        self._listener = trio.SocketListener(listening)

    async def accept(self) -> trio.SocketStream:
        """Wait for a connection."""
        return await self._listener.accept()

    async def aclose(self) -> None:
        """Close it."""
        await self._listener.aclose()


@dataclass
class Handover:
    """
    What one worker gets, as file descriptors.

    Attributes:
        line: the line to the supervisor.
        metrics: a socket to serve the pages for monitoring on.
        sockets: those to serve clients on.
        all_metrics: the paths of all workers' sockets for monitoring.
        is_orphan: whether the supervisor is gone.

    """

    line: int
    metrics: int
    sockets: Sequence[int]
    all_metrics: Sequence[str]
    is_orphan: bool = False

    def __str__(self) -> str:
        """As the variable has it."""
        return json.dumps([self.line, self.metrics, self.sockets, self.all_metrics])

    @property
    def workers(self) -> int:
        """How many workers there are."""
        return len(self.all_metrics)

    def listeners(self) -> list[trio.SocketListener]:
        """Return listeners for clients, in the worker."""
        return [trio.SocketListener(_socket(number)) for number in self.sockets]

    def metrics_listener(self) -> PrivateListener:
        """Return the listener for metrics, in the worker."""
        return PrivateListener(_socket(self.metrics))

    def line_stream(self) -> trio.SocketStream:
        """Return the line, in the worker."""
        return trio.SocketStream(_socket(self.line))


def received() -> Handover | None:
    """Return what this process was handed, if it is a worker."""
    said = os.environ.get(VARIABLE)
    if said is None:
        return None
    line, metrics, sockets, all_metrics = json.loads(said)
    return Handover(line, metrics, sockets, all_metrics)


def _socket(number: int) -> trio.socket.SocketType:
    return trio.socket.from_stdlib_socket(socket.socket(fileno=number))
