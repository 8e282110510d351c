"""Cancelling a client anywhere: nothing of it stays, and no half a frame goes out."""

from __future__ import annotations

import itertools

import pytest
import trio
import trio.testing
from helpers.other_servers import RawServer, frame, frames_sent, raw_server, shake_hands

from trioecho.client import Change, Reconnect, open_client


class Steps(trio.abc.Instrument):
    """Counts what the scheduler does, and cancels a scope at one of the steps."""

    def __init__(self, scope: trio.CancelScope, at: int) -> None:
        self.scope, self.left = scope, at

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        self.left -= 1
        if self.left == 0:
            self.scope.cancel()


async def test_cancelled_at_every_step_nothing_stays() -> None:
    """A whole conversation, with a reconnect in it, is cancelled at each of its steps in turn."""
    hung_up: list[trio.Event] = []
    connections = itertools.count()

    async def restarting(stream: trio.SocketStream, server: RawServer) -> None:
        gone, received = trio.Event(), bytearray()
        hung_up.append(gone)
        try:
            await shake_hands(stream)
            await stream.send_all(frame(1, b"hello") + frame(9, b"?"))
            if next(connections) % 2 == 0:
                await stream.send_all(frame(8, (1012).to_bytes(2, "big")))
            while data := await stream.receive_some():
                received += data
                if frames_sent(received)[-1][0] == 8:
                    await stream.send_all(frame(8, b"\x03\xe8"))
                    break
        except trio.BrokenResourceError:
            pass
        finally:
            # Whatever came was whole frames: this fails otherwise.
            frames_sent(received)
            await stream.aclose()
            gone.set()

    async def converse(url: str) -> None:
        again = trio.Event()

        def note(change: Change) -> None:
            changes.append(change)
            if len(changes) == 3:
                again.set()

        changes: list[Change] = []
        policy = Reconnect(first_delay=0.0001, longest_delay=0.0001)
        async with open_client(url, greeting="me", reconnect=policy, on_change=note) as client:
            assert await client.receive() == "hello"
            await again.wait()
            await client.send("x" * 100)

    async with raw_server(restarting) as server:
        await trio.testing.wait_all_tasks_blocked()
        tasks = trio.lowlevel.current_statistics().tasks_living
        for at in itertools.count(1):
            connections = itertools.count()
            with trio.CancelScope() as scope:
                steps = Steps(scope, at)
                trio.lowlevel.add_instrument(steps)
                try:
                    await converse(server.url)
                finally:
                    trio.lowlevel.remove_instrument(steps)
            for gone in hung_up:
                with trio.fail_after(5):
                    await gone.wait()
            hung_up.clear()
            if not scope.cancelled_caught and steps.left > 0:
                break
        assert at > 50
        await trio.testing.wait_all_tasks_blocked()
        assert trio.lowlevel.current_statistics().tasks_living == tasks


async def test_an_exception_of_on_change_is_loud() -> None:
    async def gone(stream: trio.SocketStream, server: RawServer) -> None:
        await shake_hands(stream)
        await stream.send_all(frame(8, (1012).to_bytes(2, "big")))

    def careless(change: Change) -> None:
        if change_count := next(counter):
            raise LookupError(change_count)

    counter = itertools.count()
    async with raw_server(gone) as server:
        with pytest.raises(ExceptionGroup) as caught:
            async with open_client(server.url, reconnect=Reconnect(), on_change=careless) as client:
                await client.receive()
        assert caught.group_contains(LookupError)
