"""
What a room costs in memory: ``python tests/benchmarks/room_memory.py``.

Rooms with one subscription of the application's each, counted by ``tracemalloc``: quiet, and after as many
messages of 128 bytes as a room remembers.
"""

from __future__ import annotations

import tracemalloc
from contextlib import AsyncExitStack

import trio
import trio.testing

from trioecho.protocol import frames
from trioecho.rooms.hub import Hub, registry_of
from trioecho.settings import Settings

ROOMS = 200
MESSAGE = "x" * 128


async def kilobytes(history: int, messages: int) -> float:
    """Return what a room takes with one member, after so many messages (kB)."""
    settings = Settings(history=history, history_bytes=2**30, history_total=2**33)
    async with trio.open_nursery() as nursery, AsyncExitStack() as stack:
        hub = Hub(settings, nursery)
        tracemalloc.start()
        before, _ = tracemalloc.get_traced_memory()
        subscriptions = [
            await stack.enter_async_context(hub.subscribe(f"/{number}")) for number in range(ROOMS)
        ]
        registry = registry_of(hub)
        for _ in range(messages):
            for number, subscription in enumerate(subscriptions):
                await registry.relay(f"/{number}", frames.encode(MESSAGE))
                await anext(subscription)
        await trio.testing.wait_all_tasks_blocked()
        after, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        nursery.cancel_scope.cancel()
    return (after - before) / ROOMS / 1000


async def main() -> None:
    """Measure and print."""
    print("| a room with one member | kB |\n|---|---:|")
    for history, messages in ((0, 0), (100, 0), (0, 100), (100, 100)):
        said = f"after {messages} messages of {len(MESSAGE)} bytes" if messages else "quiet"
        print(f"| `--history {history}`, {said} | {await kilobytes(history, messages):.1f} |", flush=True)


if __name__ == "__main__":
    trio.run(main)
