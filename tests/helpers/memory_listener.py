"""The listener of the public test kit, with clients whose ends move in lockstep."""

from __future__ import annotations

import trio
import trio.testing

from trioecho.testing import MemoryListener

__all__ = ["LockstepListener"]


class LockstepListener(MemoryListener):
    """What a client sends has been sent when the server has read it, and the other way round."""

    async def open(self) -> trio.abc.Stream:
        """Connect, and return the client's end."""
        ours, theirs = trio.testing.lockstep_stream_pair()
        await self.connect(theirs)
        return ours
