"""A bot: it listens in a room, and answers whoever asks it, alone or for all to hear."""

import datetime

import trio

import trioecho

PORT = 7890


async def bot(hub: trioecho.Hub, room: str) -> None:
    async with hub.subscribe(room, sources=True) as messages:
        async for heard in messages:
            if heard.message == "!time":
                now = datetime.datetime.now(datetime.UTC)
                await hub.publish(room, f"It is {now:%H:%M} UTC.")
            elif heard.message == "!who" and heard.member is not None:
                await heard.member.send(f"{len(hub.members(room))} are here. You are {heard.member.address}.")


async def main() -> None:
    async with trioecho.open_hub() as hub, trio.open_nursery() as nursery:
        nursery.start_soon(bot, hub, "/")
        await trioecho.serve(hub=hub, port=PORT)


if __name__ == "__main__":
    trio.run(main)
