"""A trio program that was there before, with one task more: browsers can watch its ball, and kick it."""

import json
from functools import partial

import trio

import trioecho

PORT = 7890


class Ball:
    """What the program is about."""

    def __init__(self) -> None:
        self.height, self.speed = 10.0, 0.0

    async def fall(self) -> None:
        while True:
            self.speed -= 9.81 * 0.05
            self.height += self.speed * 0.05
            if self.height < 0:
                self.height, self.speed = 0.0, -self.speed * 0.8
            await trio.sleep(0.05)


async def show(ball: Ball, server: trioecho.Server) -> None:
    while True:
        await server.hub.publish("/ball", json.dumps({"height": round(ball.height, 3)}))
        await trio.sleep(0.05)


async def main() -> None:
    ball = Ball()

    async def kick(member: trioecho.Member, message: str | bytes) -> None:
        ball.speed = 12.0

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ball.fall)
        server = await nursery.start(partial(trioecho.serve, port=PORT, on_message=kick))
        nursery.start_soon(show, ball, server)


if __name__ == "__main__":
    trio.run(main)
