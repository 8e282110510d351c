"""A bridge of two rooms: what clients say in one is heard in the other, with where it came from."""

import trio

import trioecho

PORT = 7890


async def carry(hub: trioecho.Hub, here: str, there: str) -> None:
    async with hub.subscribe(here, sources=True) as messages:
        async for heard in messages:
            # What the bridge itself has published must not go back and forth for ever.
            if heard.origin != "application" and isinstance(heard.message, str):
                await hub.publish(there, f"[{here}] {heard.message}")


async def main() -> None:
    async with trioecho.open_hub() as hub, trio.open_nursery() as nursery:
        nursery.start_soon(carry, hub, "/red", "/blue")
        nursery.start_soon(carry, hub, "/blue", "/red")
        await trioecho.serve(hub=hub, port=PORT)


if __name__ == "__main__":
    trio.run(main)
