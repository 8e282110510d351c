"""Relaying: what becomes of what ``on_message`` has returned."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from trioecho.disconnect import HOOK_FAILED
from trioecho.log import logger
from trioecho.rooms.member import Member
from trioecho.rooms.message import encoded_message
from trioecho.rooms.registry import ShuttingDown
from trioecho.rooms.to import Relay, To, parts
from trioecho.sessions.hooks import HookError
from trioecho.sessions.state import ServerState

__all__ = ["relay"]


async def relay(state: ServerState, answer: Relay, publish: Callable[[bytes], Awaitable[object]]) -> None:
    """
    Send what a hook has returned where it is to go; ``publish`` takes what goes into the sender's own room.

    Waits while a room is full, as every publisher does.

    Raises:
        HookError: it can't be sent, which has been logged.

    """
    limit = state.hub.settings.max_message_size
    try:
        relayed = [(part, _frame_of(part, limit)) for part in parts(answer)]
    except (TypeError, ValueError):
        logger.exception("what on_message returned can't be sent; its client is disconnected")
        raise HookError(HOOK_FAILED) from None
    for part, frame in relayed:
        if not isinstance(part, To):
            await publish(frame)
        elif isinstance(part.target, Member):
            await part.target.send(part.message)
        else:
            try:
                await state.hub.relay(part.target, frame)
            except ShuttingDown:
                return


def _frame_of(part: str | bytes | To, limit: int) -> bytes:
    return encoded_message(part.message if isinstance(part, To) else part, limit)
