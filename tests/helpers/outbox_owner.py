"""An owner of an outbox: what a session is to the real one."""

from __future__ import annotations

import trio
import trio.testing
from helpers.bare_member import BareMember
from helpers.streams import open_wire

from trioecho.disconnect import Disconnect
from trioecho.protocol import frames
from trioecho.rooms.batch import Batch, Encoding, Origin
from trioecho.rooms.direct_outbox import DirectOutbox
from trioecho.rooms.fan_out import offer
from trioecho.rooms.outbox import State
from trioecho.settings import Settings


class Client(BareMember):
    """One client: its outbox over a wire, the task that writes its backlog, and what it was told."""

    outbox: DirectOutbox

    def __init__(
        self,
        near: trio.abc.Stream,
        limits: Settings,
        nursery: trio.Nursery,
        encoding: Encoding | None = None,
    ) -> None:
        self.outbox = DirectOutbox(self, limits, open_wire(near), encoding=encoding)
        self.ended: list[Disconnect] = []
        self.first_drops = 0
        self.freed_when: list[int] = []
        self._nursery = nursery

    @property
    def takes_more(self) -> bool:
        return self.outbox.state in (State.DIRECT, State.QUEUEING)

    def offer(self, batch: Batch) -> bool:
        """Offer its outbox a batch, as a room does."""
        return offer(self.outbox, batch)

    def start_writer(self) -> None:
        self._nursery.start_soon(self.outbox.drain)

    def on_first_drop(self) -> None:
        self.first_drops += 1

    def disconnect(self, why: Disconnect) -> None:
        """Do as a session does: nothing impolite is delivered."""
        self.ended.append(why)
        self.outbox.close()

    def on_space(self) -> None:
        self.freed_when.append(self.outbox.pending_bytes)


def batch_of(count: int, size: int, number: int) -> Batch:
    """Make a batch whose messages say which they are."""
    texts = [f"{number}.{part} {size * 'x'}" for part in range(count)]
    return Batch(Origin.APPLICATION, b"".join(map(frames.encode, texts)), count)
