"""Remote procedure calls on a route of their own, beside rooms on the same port."""

import json
import operator
from collections.abc import Callable
from typing import Any

import trio

import trioecho

PORT = 7890

CALLS: dict[str, Callable[..., Any]] = {"add": operator.add, "upper": str.upper}


async def rpc(member: trioecho.Conversation) -> None:
    async for message in member:
        try:
            call = json.loads(message)
            answer = {"id": call["id"], "result": CALLS[call["call"]](*call["with"])}
        except (ValueError, KeyError, TypeError) as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        await member.send(json.dumps(answer))


async def main() -> None:
    await trioecho.serve(port=PORT, routes={"/rpc": rpc})


if __name__ == "__main__":
    trio.run(main)
