"""Refuse clients that have no token of ours: each has to show one, as trioecho client --token-file does."""

import hmac

import trio

import trioecho

PORT = 7890

KEY = b"change this: it is public"


def token_for(name: str) -> str:
    return f"{name}.{hmac.digest(KEY, name.encode(), 'sha256').hex()}"


async def authorize(request: trioecho.Request) -> trioecho.Identity | trioecho.Refusal:
    scheme, _, token = (request.header("authorization") or "").partition(" ")
    name = token.partition(".")[0]
    if scheme != "Bearer" or not hmac.compare_digest(token.encode(), token_for(name).encode()):
        return trioecho.Refusal(401, "A token is needed.", (("WWW-Authenticate", "Bearer"),))
    return trioecho.Identity(name, publish=name != "guest")


async def main() -> None:
    print("A token for ada:", token_for("ada"), flush=True)
    await trioecho.serve(port=PORT, authorize=authorize)


if __name__ == "__main__":
    trio.run(main)
