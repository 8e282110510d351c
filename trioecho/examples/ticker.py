"""A ticker: a hundred prices a second; a slow client misses the oldest, and is told how many."""

import json
import random
from functools import partial

import trio

import trioecho

PORT = 7890


async def prices(hub: trioecho.Hub) -> None:
    price = 100.0
    while True:
        price *= 1 + random.gauss(0, 0.0005)
        hub.publish_nowait("/prices", json.dumps({"price": round(price, 2)}))
        await trio.sleep(0.01)


async def main() -> None:
    bounds = trioecho.Options(
        when_slow="drop-oldest",
        max_pending_bytes=64 * 1024,
        max_message_size=1024,
        tell_missed='{"missed": %d}',
    )
    async with trio.open_nursery() as nursery:
        server = await nursery.start(partial(trioecho.serve, port=PORT, **bounds))
        nursery.start_soon(prices, server.hub)


if __name__ == "__main__":
    trio.run(main)
