"""A door as atheris wants it: a function of bytes, in code that says what of it they reach."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import atheris  # type: ignore[import-untyped, import-not-found, unused-ignore]
import trio

with atheris.instrument_imports(include=["trioecho", "h11", "wsproto", "trio_websocket"]):
    from fuzz.doors import DOORS

from fuzz.words import WORDS

__all__ = ["fuzz"]

LONGEST = 4096
"""How many bytes are brought at most; longer ones reach little more, and take long."""


def fuzz(name: str, arguments: Sequence[str]) -> None:
    """Bring bytes to the door of this name, as libFuzzer's arguments say; ends the process."""
    door = DOORS[name]

    def once(data: bytes) -> None:
        # The first byte says where the rest is cut in two, if at all.
        cut = data[0] if data else 0
        trio.run(door, [data[1 : 1 + cut], data[1 + cut :]])

    corpus = tempfile.mkdtemp(prefix="fuzz-")  # atheris ends the process, so nobody could remove it
    for number, seed in enumerate([*WORDS[name], b"".join(WORDS[name])]):
        (Path(corpus) / str(number)).write_bytes(b"\0" + seed)
    options = [f"-max_len={LONGEST}", "-len_control=0", "-timeout=60"]
    folders = [] if Path(arguments[0]).is_file() else [corpus]
    atheris.Setup(["fuzz", *options, *arguments, *folders], once)
    atheris.Fuzz()
