"""A chat with names: the server rewrites each message. A client connects to /?name=ada, say."""

from urllib.parse import parse_qs

import trio

import trioecho

PORT = 7890


async def authorize(request: trioecho.Request) -> trioecho.Identity | trioecho.Refusal:
    (name,) = parse_qs(request.query).get("name", [""])
    if not name.isalnum():
        return trioecho.Refusal(403, "Say who you are: connect to /?name=YOURS.")
    return trioecho.Identity(name)


async def on_message(member: trioecho.Member, message: str | bytes) -> str | None:
    return f"{member.identity.name}: {message}" if isinstance(message, str) else None


async def on_join(member: trioecho.Member) -> None:
    await member.send(f"Welcome, {member.identity.name}!")


async def main() -> None:
    await trioecho.serve(port=PORT, authorize=authorize, on_message=on_message, on_join=on_join)


if __name__ == "__main__":
    trio.run(main)
