"""
The fan-out: what a room has taken goes to everybody who is to get it.

:func:`offer_to_all` is the loop that a server's speed depends on. It gives up a habit for it: it reads and
changes the outboxes itself, instead of asking each of them, so that a client that keeps up costs one call
into the kernel and nothing else.

A fan-out to many takes long, so :func:`fan_out` makes it in strides, between which other tasks run. Members
may come and go meanwhile. A fan-out goes to those who were there when it began; whoever has left by then has
a closed outbox, which takes everything and keeps nothing.

Outboxes that write in different encodings are served in groups, so that within a group all write the same
bytes. A room in which all use one, which is nearly every room, is one group without looking. Where some can
inflate, a group is served in up to three forms; :mod:`~trioecho.rooms.compression` says which.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import trio

from trioecho.counters import Counters
from trioecho.rooms.batch import Batch, Encoding
from trioecho.rooms.compression import Forms, RoomCompression
from trioecho.rooms.outbox import Outbox, State
from trioecho.rooms.recipients import Recipients

__all__ = ["fan_out", "offer", "offer_to_all"]

STRIDE_CLIENTS = 200
STRIDE_BYTES = 2 * 2**20
"""A fan-out lets other tasks run after so many clients, or bytes written: about a millisecond."""

ALONE_CLIENTS = 8
"""As so many clients more counts one for whom alone something is compressed: 20 microseconds."""


def offer(outbox: Outbox, batch: Batch) -> bool:
    """
    Offer a batch to one outbox: write it, queue it, or do what its policy says.

    Never waits. False means that the outbox is full and the room should wait (policy ``wait``); the batch is
    then still the caller's.
    """
    return not offer_to_all((outbox,), batch, outbox.encoding)


def offer_to_all(outboxes: Iterable[Outbox], batch: Batch, encoding: Encoding | None) -> list[Outbox]:
    """Offer a batch to outboxes of one encoding, as :func:`offer` does; return those that refused it."""
    data = batch.frames if encoding is None else batch.encoded(encoding)
    count = batch.count
    size, direct = len(data), State.DIRECT
    full = []
    for outbox in outboxes:
        if outbox.state is direct:
            written = 0
            if (send_nowait := outbox.wire.send_nowait) is not None:  # type: ignore[attr-defined]
                try:
                    written = send_nowait(data)
                except (ConnectionResetError, BrokenPipeError):
                    # Its reader is told, too, and ends it. A writer for each of thousands that were cut
                    # together would hold up the others in the room for half a second.
                    outbox.lose(count)  # type: ignore[attr-defined]
                    continue
                except OSError:  # no space, or another error: the writer finds out which
                    pass
                if written == size:
                    outbox.sent += count
                    continue
            if written:
                outbox.half_written(batch, written)  # type: ignore[attr-defined]
                continue
            outbox.fall_behind()  # type: ignore[attr-defined]
        if not outbox.enqueue(batch):
            full.append(outbox)
    return full


async def fan_out(
    recipients: Recipients,
    members: Mapping[Any, Outbox],
    encodings: Collection[Encoding | None],
    counters: Counters,
    compression: RoomCompression | None = None,
) -> dict[Outbox, Batch]:
    """
    Give everybody what is theirs.

    ``encodings`` are those that the members' outboxes use; ``compression`` is given where one of them could
    ever inflate. Returns the outboxes that are full, each with the batch that it still has to get.
    """
    held: dict[Outbox, Batch] = {}
    everybody, senders = recipients
    if compression is not None and not compression.able:
        compression = None
    if senders:
        others = dict(members)
        served = written = 0
        singles = None
        if compression is not None:
            cuts = [(others.get(sender), batch) for sender, batch in senders.items()]
            singles = await compression.singles(everybody, cuts)
        for sender, batch in senders.items():
            outbox = others.pop(sender, None)
            if outbox is not None and compression is not None:
                plain, batch = batch, await compression.alone(outbox, batch, singles)
                served += ALONE_CLIENTS * (batch is not plain)
            if outbox is None or batch is None:
                continue
            served, written = served + 1, written + batch.cost
            if served > STRIDE_CLIENTS or written > STRIDE_BYTES:
                await trio.lowlevel.checkpoint()
                served, written = 1, batch.cost
            counters.bytes_out += batch.size
            if not offer(outbox, batch):
                held[outbox] = batch
        members = others
    if everybody is None:
        return held
    begun = False
    for encoding, group in _groups(tuple(members.values()), encodings):
        forms: Forms = ((group, everybody),)
        if compression is not None:
            forms = await compression.forms(group, everybody, encoding)
        for outboxes, form in forms:
            counters.bytes_out += form.size * len(outboxes)
            stride = STRIDE_CLIENTS
            if form.cost * stride > STRIDE_BYTES:
                stride = max(1, STRIDE_BYTES // form.cost)
            for start in range(0, len(outboxes), stride):
                if begun:
                    await trio.lowlevel.checkpoint()
                begun = True
                for outbox in offer_to_all(outboxes[start : start + stride], form, encoding):
                    held[outbox] = form
    return held


def _groups(
    outboxes: Sequence[Outbox], encodings: Collection[Encoding | None]
) -> Iterable[tuple[Encoding | None, Sequence[Outbox]]]:
    """Group outboxes by the encoding in which they write."""
    if len(encodings) == 1:
        return [(encoding, outboxes) for encoding in encodings]
    groups: dict[Encoding | None, list[Outbox]] = {}
    for outbox in outboxes:
        groups.setdefault(outbox.encoding, []).append(outbox)
    return groups.items()
