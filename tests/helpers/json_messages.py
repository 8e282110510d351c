"""
JSON messages that look real, from a seeded program: a ticker's trades, chat, and telemetry.

No two are the same, and none repeats text of another but for its keys, as in a real feed: what compresses
well must do so because the form repeats and not because the content does.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

__all__ = ["KINDS", "messages"]

SYMBOLS = ("BTC-USD", "ETH-USD", "SOL-USD", "XRP-USD", "AAPL", "MSFT", "NVDA", "AMZN", "TSLA", "META")
NAMES = ("alice", "bob", "carla", "dmitri", "erin", "farid", "grace", "hana", "ivan", "jun", "kofi", "lena")
SYLLABLES = (
    "ka",
    "to",
    "mi",
    "re",
    "lo",
    "san",
    "ti",
    "ve",
    "or",
    "un",
    "ash",
    "el",
    "din",
    "po",
    "qua",
    "st",
)
START = 1_790_000_000_000
"""The first message's time (milliseconds since 1970)."""


def ticker(size: int, random: random.Random, at: int) -> dict[str, Any]:
    """A trade; it has the size it has, some 115 bytes."""
    price = 10 ** random.uniform(0, 4.8)
    return {
        "type": "trade",
        "symbol": random.choice(SYMBOLS),
        "price": f"{price:.2f}",
        "size": f"{random.uniform(0, 3):.5f}",
        "side": random.choice(("buy", "sell")),
        "ts": at,
        "id": random.randrange(10**8, 10**9),
    }


def chat(size: int, random: random.Random, at: int) -> dict[str, Any]:
    """What somebody said, in words that occur seldom twice."""
    message = {"type": "message", "id": random.getrandbits(48), "user": random.choice(NAMES), "ts": at}
    words: list[str] = []
    length = len(json.dumps(message)) + 10
    while length < size:
        words.append("".join(random.choices(SYLLABLES, k=random.randint(1, 4))))
        length += len(words[-1]) + 1
    return {**message, "text": " ".join(words)}


def telemetry(size: int, random: random.Random, at: int) -> dict[str, Any]:
    """What the sensors of a device measured."""
    message: dict[str, Any] = {"device": f"node-{random.randrange(1000):03d}", "ts": at, "readings": []}
    length = len(json.dumps(message))
    while length < size - 40:
        reading = {
            "sensor": f"s{random.randrange(100):02d}",
            "temperature": round(random.gauss(21, 3), 2),
            "humidity": round(random.gauss(45, 8), 1),
            "pressure": round(random.gauss(1013, 4), 1),
        }
        message["readings"].append(reading)
        length += len(json.dumps(reading)) - 3
    return message


KINDS: dict[str, Callable[[int, random.Random, int], dict[str, Any]]] = {
    "ticker": ticker,
    "chat": chat,
    "telemetry": telemetry,
}


def messages(kind: str, size: int, count: int, seed: int = 1) -> list[str]:
    """Return ``count`` messages of about ``size`` bytes, the same ones for the same ``seed``."""
    source = random.Random(f"{kind}-{size}-{seed}")
    made = [KINDS[kind](size, source, START + 40 * number) for number in range(count)]
    return [json.dumps(message, separators=(",", ":")) for message in made]
