"""
Hooks: the application's own functions that a server asks, each with a deadline and an error boundary.

A hook is not trusted more than a client is: one that fails or takes too long ends the client that it was
called for, with a named reason, and nobody else. What it raised is logged with its traceback.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ParamSpec, Protocol, TypeVar

import trio

from trioecho.disconnect import HOOK_FAILED, HOOK_TIMEOUT, Disconnect
from trioecho.log import logger
from trioecho.option_kinds import Seconds
from trioecho.options import OptionError
from trioecho.rooms.member import Member
from trioecho.rooms.registry import ShuttingDown
from trioecho.rooms.to import Relay

__all__ = ["HookError", "Hooks", "OnJoin", "OnLeave", "OnMessage", "boundary"]


class OnMessage(Protocol):
    """The hook that is asked what becomes of each message."""

    async def __call__(self, member: Member, message: str | bytes, /) -> Relay:
        """Return what is relayed of ``message``, which ``member`` has sent."""


class OnJoin(Protocol):
    """The hook that is told of a client who has come into its room, before its first message is read."""

    async def __call__(self, member: Member, /) -> None:
        """Take notice of ``member``, and perhaps send it something."""


class OnLeave(Protocol):
    """The hook that is told of a client who has left and whose connection has ended."""

    async def __call__(self, member: Member, why: Disconnect, /) -> None:
        """Take notice that ``member`` has gone, and for what reason."""


P = ParamSpec("P")
T = TypeVar("T")


class HookError(Exception):
    """A hook failed or took too long, which has been logged; ``why`` is what that means for its client."""

    def __init__(self, why: Disconnect) -> None:
        super().__init__(str(why))
        self.why = why


@contextmanager
def boundary(name: str) -> Iterator[None]:
    """
    Stand around code of the application's, ``name`` for the log.

    That the server is shutting down is no failure of it; that ends the block in silence.

    Raises:
        HookError: it failed.

    """
    try:
        yield
    except ShuttingDown:
        return
    except Exception:
        logger.exception("%s failed; the client that it was called for is disconnected", name)
        raise HookError(HOOK_FAILED) from None
    except BaseExceptionGroup as group:
        # The server is cancelled, and something went wrong as well: the one may not hide the other.
        failed, rest = group.split(Exception)
        if failed is not None:
            logger.error("%s failed", name, exc_info=failed)
        assert rest is not None
        raise rest from None


@dataclass(frozen=True, slots=True)
class Hooks:
    """
    The hooks of one server, and how long each may take (seconds).

    Raises:
        OptionError: one of them is not callable, or the time is none.

    """

    on_message: OnMessage | None = None
    on_join: OnJoin | None = None
    on_leave: OnLeave | None = None
    timeout: float = 10.0

    def __post_init__(self) -> None:
        """Check every value."""
        for name in ("on_message", "on_join", "on_leave"):
            if (hook := getattr(self, name)) is not None and not callable(hook):
                raise OptionError(name, f"must be an async function, not {hook!r}")
        Seconds("", low=0.01).check("hook_timeout", self.timeout)

    def __bool__(self) -> bool:
        """Whether there is any."""
        return bool(self.on_message or self.on_join or self.on_leave)

    async def call(
        self, name: str, hook: Callable[P, Awaitable[T]], *arguments: P.args, **named: P.kwargs
    ) -> T | None:
        """
        Call a hook, and return what it returns; ``None`` if the server is shutting down and so it could not.

        Raises:
            HookError: it failed or took too long.

        """
        with boundary(name), trio.move_on_after(self.timeout) as limit:
            return await hook(*arguments, **named)
        if limit.cancelled_caught:
            logger.error(
                "%s took longer than %g s; the client that it was called for is disconnected",
                name,
                self.timeout,
            )
            raise HookError(HOOK_TIMEOUT)
        return None
