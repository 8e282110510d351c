"""``trioecho.v1``: each message is where its head says, for senders too, and for others nothing changes."""

from __future__ import annotations

import json
from typing import Any

import pytest
import trio
import trio.testing
from helpers.heads import Heads
from helpers.streams import memory
from helpers.virtual_server import Peer, served
from hypothesis import given, settings
from hypothesis import strategies as st

from trioecho.protocol import frames
from trioecho.protocol.frames import TEXT, data_frame
from trioecho.protocol.head import encode_head
from trioecho.rooms.batch import Batch, Origin
from trioecho.rooms.headed import as_headed, tell_by_head
from trioecho.rooms.notice import NOWHERE, tells_text
from trioecho.rooms.place import Place
from trioecho.rooms.recipients import recipients_of
from trioecho.rooms.registry import Registry
from trioecho.rooms.subscriber import Subscriber
from trioecho.settings import Settings

MEMBERS = ["Ada", "Bo", "Cy", "never says a word"]

batches = st.lists(
    st.tuples(
        st.sampled_from([*MEMBERS[:3], "gone", Origin.APPLICATION, Origin.ELSEWHERE]),
        st.lists(st.text(max_size=3) | st.binary(max_size=3) | st.just(3000 * "x"), max_size=3),
    ),
    min_size=1,
    max_size=8,
)


def test_a_head_is_a_json_object_in_a_text_frame() -> None:
    (text,) = frames.messages(encode_head("k3x9f2aa", 1039, 3))
    assert text == '{"epoch":"k3x9f2aa","offset":1039,"count":3}'
    for missed in (17, None):
        (text,) = frames.messages(tell_by_head(Place("k3x9f2aa", 1056), missed))
        assert json.loads(text) == {"epoch": "k3x9f2aa", "offset": 1056, "count": 0, "missed": missed}


@given(batches, st.sampled_from(["others", "everyone"]), st.integers(0, 10**12))
def test_each_message_is_where_its_head_says(
    said: list[tuple[object, list[Any]]], to: Any, before: int
) -> None:
    taken = [Batch(who, b"".join(map(frames.encode, texts)), len(texts)) for who, texts in said]
    everything, apart = recipients_of(taken, to, headed=True)
    numbered = list(enumerate(((who, text) for who, texts in said for text in texts), before + 1))
    for batch in (everything, *apart.values()):
        if batch is not None:
            batch.epoch, batch.offset = "k3x9f2aa", before
    for member in MEMBERS:
        client = Heads()
        batch = apart.get(member, everything)
        if batch is not None:
            for message in frames.messages(batch.encoded(as_headed)):
                client.take(message)
            assert client.offset == batch.end
        theirs = [(number, text) for number, (who, text) in numbered if to == "everyone" or who != member]
        assert list(zip(client.numbers, client.heard, strict=True)) == theirs
        assert not client.missed


async def listen(peer: Peer, client: Heads) -> None:
    client.connected()
    while True:
        kind, message = await peer.next()
        if kind not in ("text", "binary"):
            return
        assert isinstance(message, (str, bytes))
        client.take(message)


V1 = "trioecho.v1"


@pytest.mark.parametrize("to", ["others", "everyone"])
async def test_all_who_speak_it_agree_on_the_numbers(to: Any) -> None:
    """Several talk at once, the application too; who joins later is told where it is."""
    names = ["Ada", "Bo", "Cy"]
    async with served(memory, to=to) as (server, join), trio.open_nursery() as nursery:
        await join("/")  # one who does not speak it
        peers = {name: await join("/", protocol=V1) for name in names}
        clients = {name: Heads() for name in names}
        for name in names:
            nursery.start_soon(listen, peers[name], clients[name])

        async def talk(name: str) -> None:
            for number in range(30):
                if name == "application":
                    await server.hub.publish("/", f"{name} {number}")
                else:
                    await peers[name].send(*[f"{name} {number} {part}" for part in range(3)])
                await trio.lowlevel.checkpoint()

        async with trio.open_nursery() as talking:
            for name in [*names, "application"]:
                talking.start_soon(talk, name)
        await trio.testing.wait_all_tasks_blocked()
        log: dict[int, object] = {}
        for name, client in clients.items():
            own = sum(str(text).startswith(name) for text in client.heard)
            assert own == (90 if to == "everyone" else 0)
            assert len(client.heard) == 300 - (90 - own)
            assert client.numbers == sorted(set(client.numbers))
            for number, message in zip(client.numbers, client.heard, strict=True):
                assert log.setdefault(number, message) == message
        assert sorted(log) == list(range(1, 301))
        late = Heads()
        nursery.start_soon(listen, await join("/", protocol=V1), late)
        await trio.testing.wait_all_tasks_blocked()
        assert late.heads == [{"epoch": clients["Ada"].epoch, "offset": 300, "count": 0}]
        nursery.cancel_scope.cancel()


bursts = st.lists(
    st.lists(
        st.tuples(
            st.integers(0, 3),
            st.lists(
                st.text(max_size=5) | st.binary(max_size=5) | st.just("x" * 3_000), min_size=1, max_size=4
            ),
        ),
        min_size=1,
        max_size=6,
    ),
    max_size=6,
)


@settings(deadline=None, max_examples=50)
@given(bursts, st.sampled_from(["others", "everyone", "sender"]))
def test_who_does_not_ask_for_it_gets_the_same_bytes_with_and_without_those_who_do(
    script: list[list[tuple[int, list[Any]]]], to: Any
) -> None:
    """What comes in one burst, from members or the application, is fanned out together."""

    async def run(speakers: int) -> list[bytes]:
        async with trio.open_nursery() as nursery:
            registry = Registry(Settings(to=to), nursery)
            members = [Subscriber(registry.settings) for _ in range(3)]
            others = [Subscriber(registry.settings) for _ in range(speakers)]
            for other in others:
                other.outbox.encoding, other.outbox.tell = as_headed, tell_by_head
            for member in (*members, *others):
                member.room = room = registry.enter("/", member)
            for burst in script:
                for who, messages in burst:
                    data = b"".join(map(frames.encode, messages))
                    source = Origin.APPLICATION if who == 3 else members[who]
                    await room.publish(Batch(source, data, len(messages)))
                await room.flush()
            received = []
            for member in members:
                data = b""
                while member.outbox.pending_bytes:
                    batch = await member.outbox.receive()
                    assert batch is not None
                    data += b"".join(batch.buffers(member.outbox.encoding))
                received.append(data)
            nursery.cancel_scope.cancel()
        return received

    assert trio.run(run, 0) == trio.run(run, 2)


@pytest.mark.parametrize("policy", ["drop-oldest", "drop-newest"])
@pytest.mark.parametrize("to", ["others", "everyone"])
async def test_what_a_policy_dropped_is_told_in_its_place(policy: Any, to: Any) -> None:
    bounds: Any = {"max_pending_bytes": 3_000, "max_message_size": 1_000}
    async with served(when_slow=policy, to=to, **bounds) as (server, join), trio.open_nursery() as nursery:
        slow = await join("/", protocol=V1)
        client = Heads()
        for number in range(50):
            await server.hub.publish("/", f"{number} ".ljust(900, "x"))
            await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(listen, slow, client)
        await trio.testing.wait_all_tasks_blocked()
        for number in range(50, 53):
            await server.hub.publish("/", f"{number} ".ljust(900, "x"))
            await trio.testing.wait_all_tasks_blocked()
        assert [int(str(text).split()[0]) + 1 for text in client.heard] == client.numbers
        assert client.missed == [53 - len(client.heard)] and len(client.heard) < 10
        assert client.offset == 53
        assert client.numbers[-3:] == [51, 52, 53]
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("policy", ["drop-oldest", "drop-newest"])
async def test_a_plain_client_is_told_by_a_text_of_the_servers_choice(policy: Any) -> None:
    bounds: Any = {"max_pending_bytes": 3_000, "max_message_size": 1_000}
    told = '{"missed": %d}'
    async with served(when_slow=policy, tell_missed=told, **bounds) as (server, join):
        slow, silent = await join("/"), await join("/")
        for number in range(50):
            await server.hub.publish("/", f"{number} ".ljust(900, "x"))
            await trio.testing.wait_all_tasks_blocked()
        numbers: list[int] = []
        gaps: list[tuple[int, int]] = []
        while not numbers or numbers[-1] < 50:
            if len(numbers) + sum(gap for _, gap in gaps) == 50:
                await server.hub.publish("/", "50 is the last")
            _, message = await slow.next()
            text = str(message)
            if text.startswith("{"):
                gaps.append((len(numbers), json.loads(text)["missed"]))
            else:
                numbers.append(int(text.split()[0]))
        ((where, gap),) = gaps
        assert numbers == [*range(where), *range(where + gap, 51)]
        assert len(numbers) + gap == 51
        assert silent


def test_a_text_without_a_number_says_only_that_some_are_missing() -> None:
    for text, missed, said in (("a gap", 3, b"a gap"), ("a gap", None, b"a gap"), ("%d or %d", 3, b"3 or 3")):
        assert tells_text(text)(NOWHERE, missed) == data_frame(TEXT, said)
    assert tells_text("a gap")(NOWHERE, 0) == b""
