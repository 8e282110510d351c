"""A TCP relay in front of a server, whose connections are lost when a test wants it."""

from __future__ import annotations

from contextlib import suppress
from functools import partial

import trio

__all__ = ["Relay"]


class Relay:
    """
    Passes bytes on to a port of 127.0.0.1; :meth:`cut` loses all connections until :meth:`mend`.

    Those that come meanwhile are lost too, or, where it ``holds``, wait. The server notices at once, or so
    many seconds ``late``, as when nobody is there to say that a connection is gone.

    Attributes:
        port: where it listens.
        cuts: how many connections it has cut.

    """

    port: int

    def __init__(self, target: int, *, holds: bool = False, late: float = 0) -> None:
        self.cuts = 0
        self._holds = holds
        self._late = late
        self._mended = trio.Event()
        self._target = target
        self._down = False
        self._scopes: set[trio.CancelScope] = set()

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Relay until cancelled."""
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        self.port = listener.socket.getsockname()[1]
        async with trio.open_nursery() as nursery:
            await nursery.start(partial(trio.serve_listeners, self._serve, [listener]))
            task_status.started()

    async def _serve(self, client: trio.SocketStream) -> None:
        if self._down and not self._holds:
            return
        if self._down:
            await self._mended.wait()
        async with await trio.open_tcp_stream("127.0.0.1", self._target) as server:
            with trio.CancelScope() as scope:
                self._scopes.add(scope)
                try:
                    async with trio.open_nursery() as nursery:
                        nursery.start_soon(self._pass_on, client, server, nursery.cancel_scope)
                        nursery.start_soon(self._pass_on, server, client, nursery.cancel_scope)
                finally:
                    self._scopes.discard(scope)
            if scope.cancelled_caught:
                await client.aclose()
                with trio.move_on_after(self._late), suppress(trio.BrokenResourceError):
                    async for _ in server:
                        pass

    async def _pass_on(
        self, one: trio.SocketStream, other: trio.SocketStream, scope: trio.CancelScope
    ) -> None:
        try:
            async for data in one:
                await other.send_all(data)
        except trio.BrokenResourceError:
            pass
        scope.cancel()

    def cut(self) -> None:
        """Lose all connections, and take no more."""
        self._down = True
        self._mended = trio.Event()
        self.cuts += len(self._scopes)
        for scope in self._scopes:
            scope.cancel()

    def mend(self) -> None:
        """Take connections again."""
        self._down = False
        self._mended.set()
