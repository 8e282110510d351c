"""Nothing of a member waits for the cyclic collector: what it held is given back when it leaves."""

from __future__ import annotations

import gc
import logging
from collections.abc import Iterator

import pytest
import trio
import trio.testing
from helpers.outbox_owner import Client, batch_of
from helpers.someone import Someone
from helpers.streams import Connect, lockstep, small_sockets, sockets

from trioecho import Hub, Settings
from trioecho.engine.elsewhere import Elsewhere
from trioecho.engine.engine import Engine
from trioecho.rooms.batch import Batch, Excerpt
from trioecho.rooms.direct_outbox import DirectOutbox
from trioecho.rooms.hub import registry_of
from trioecho.rooms.inbox import Inbox
from trioecho.rooms.outbox import Outbox
from trioecho.rooms.place import Place
from trioecho.rooms.presence import Presence
from trioecho.rooms.registry import Registry
from trioecho.rooms.room import Room
from trioecho.rooms.shared_room import SharedRoom
from trioecho.rooms.subscriber import Subscriber
from trioecho.rooms.subscription import Subscription
from trioecho.transport.wire import Wire

OURS = (
    Batch,
    DirectOutbox,
    Elsewhere,
    Excerpt,
    Inbox,
    Outbox,
    Presence,
    Room,
    Subscriber,
    Subscription,
    Wire,
)


@pytest.fixture(autouse=True)
def without_the_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def alive() -> dict[str, int]:
    """Return how many objects there are of each kind that a member or a room is made of."""
    found = [type(each).__name__ for each in gc.get_objects() if type(each) in OURS]
    return {name: found.count(name) for name in set(found)}


@pytest.mark.parametrize("connect", [sockets, small_sockets, lockstep])
@pytest.mark.parametrize("when_slow", ["wait", "disconnect", "drop-oldest", "drop-newest"])
async def test_a_client_that_leaves_takes_its_outbox_its_wire_and_its_backlog_along(
    connect: Connect, when_slow: str
) -> None:
    """In the middle of a write, with a queue behind it, full, and in whatever state the policy brings."""
    limits = Settings(when_slow=when_slow, max_pending_bytes=300_000, max_message_size=1)  # type: ignore[arg-type]
    before = alive()
    for _ in range(3):
        async with connect() as (near, _), trio.open_nursery() as nursery:
            client = Client(near, limits, nursery)
            client.outbox.open()
            for number in range(5):
                client.offer(batch_of(1, 100_000, number))
                await trio.testing.wait_all_tasks_blocked()
            assert client.outbox.pending_bytes or client.ended
            client.outbox.close()
            nursery.cancel_scope.cancel()
    del near
    # Its own end may still be going on: a session that holds the outbox must not hold the rest by it.
    assert client.outbox.unsent or client.outbox.sent
    assert set(alive()) - set(before) == {"DirectOutbox"}
    del client
    assert alive() == before


async def test_a_client_that_drains_and_then_leaves_takes_all_along(nursery: trio.Nursery) -> None:
    before = alive()
    async with lockstep() as (near, far):
        client = Client(near, Settings(), nursery)
        client.outbox.open()
        client.offer(batch_of(1, 100, 0))
        client.outbox.close(drain=True)
        assert await far.receive_some() == batch_of(1, 100, 0).frames
        await client.outbox.wait_caught_up()
        client.outbox.close()
        await trio.testing.wait_all_tasks_blocked()
    del client, near, far
    assert alive() == before


async def test_rooms_and_subscriptions_leave_nothing(nursery: trio.Nursery) -> None:
    hub = Hub(Settings(), nursery)
    before = alive()
    for number in range(3):
        async with hub.subscribe("/") as subscription, hub.subscribe("/") as other:
            for _ in range(3):
                assert await hub.publish("/", f"message {number}") == 2
            assert await anext(subscription) == f"message {number}"
            with trio.move_on_after(0):
                await anext(other)
    await trio.testing.wait_all_tasks_blocked()
    del subscription, other
    assert hub.rooms == {}
    assert alive() == before


@pytest.mark.parametrize("shared", [False, True])
async def test_whoever_watches_who_is_there_leaves_nothing(nursery: trio.Nursery, shared: bool) -> None:
    engine = Engine(Settings(engine="redis://127.0.0.1")) if shared else None  # it is never asked
    registry = registry_of(Hub(Settings(), nursery, logs=engine))
    stays = Someone(registry, "ada")
    if isinstance(stays.room, SharedRoom):
        stays.room.opened(Place("epoch", 0), [])  # until then whoever has entered is kept
    before = alive()
    for _ in range(3):
        watcher = Someone(registry, "bo", watches=True)
        await trio.testing.wait_all_tasks_blocked()
        assert (stays.room.shared_presence is not None) == shared
        watcher.leave()
        await trio.testing.wait_all_tasks_blocked()
        assert stays.room.presence is None
        del watcher
    assert alive() == before


async def test_what_waits_for_a_slow_member_does_not_keep_its_sender(nursery: trio.Nursery) -> None:
    hub = Hub(Settings(), nursery)
    registry = registry_of(hub)
    async with hub.subscribe("/") as slow:
        sender = Subscriber(registry.settings)
        sender.room = room = registry.enter("/", sender)
        before = alive()["Subscriber"]
        await room.publish(Batch(sender, batch_of(1, 10, 0).frames, 1))
        await room.flush()
        sender.outbox.close()
        registry.leave(room, sender)
        del sender
        assert alive()["Subscriber"] == before - 1
        assert str(await anext(slow)).startswith("0.0 ")


async def test_members_of_a_failed_room_leave_nothing(
    nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Or pytest would keep the failure, and with it all that its traceback refers to.
    monkeypatch.setattr(logging.getLogger("trioecho"), "propagate", False)

    class Faulty(Subscriber):
        def on_first_drop(self) -> None:
            raise RuntimeError("a bug in a member")

    limits = Settings(when_slow="drop-newest", max_pending_bytes=100, max_message_size=100)
    before = alive()
    registry = Registry(limits, nursery)
    member = Faulty(limits)
    member.room = registry.enter("/", member)
    for number in range(2):
        await member.room.publish(batch_of(1, 90, number))
        await trio.testing.wait_all_tasks_blocked()
    registry.leave(member.room, member)
    del member
    assert alive() == before
