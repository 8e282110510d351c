"""A server as the guest of another event loop: trio runs inside asyncio, in the same thread."""

import asyncio
from collections.abc import Callable
from functools import partial

import outcome
import trio

import trioecho

PORT = 7890


async def run_in_trio(ready: asyncio.Future[trioecho.Server]) -> None:
    async with trio.open_nursery() as nursery:
        ready.set_result(await nursery.start(partial(trioecho.serve, port=PORT)))


async def main() -> None:
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[trioecho.Server] = loop.create_future()
    over: asyncio.Future[None] = loop.create_future()

    def done(result: outcome.Outcome[None]) -> None:
        if isinstance(result, outcome.Error):
            over.set_exception(result.error)
        else:
            over.set_result(None)

    def soon(run: Callable[[], object]) -> None:
        loop.call_soon_threadsafe(run)

    trio.lowlevel.start_guest_run(
        run_in_trio,
        ready,
        run_sync_soon_threadsafe=soon,
        done_callback=done,
        host_uses_signal_set_wakeup_fd=True,
    )
    server = await ready
    number = 0
    while not over.done():
        number += 1
        server.hub.publish_nowait("/", f"asyncio says {number}")
        await asyncio.sleep(1)
    await over


if __name__ == "__main__":
    asyncio.run(main())
