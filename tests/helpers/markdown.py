"""The README as tests read it: its blocks of code, its commands, its recipes."""

from __future__ import annotations

import re
from pathlib import Path

__all__ = ["ROOT", "TEXT", "blocks", "commands", "recipes"]

ROOT = Path(__file__).parents[2]

TEXT = (ROOT / "README.md").read_text()


def blocks(language: str, text: str = TEXT) -> list[str]:
    """Return the code blocks of one language, of all the README or of a part of it."""
    return re.findall(rf"```{language}\n(.*?)```", text, re.S)


def commands(beginning: str = "") -> list[str]:
    """Return the command lines that begin like this."""
    lines = [line[2:] for block in blocks("console") for line in block.splitlines() if line.startswith("$ ")]
    return [line for line in lines if line.startswith(beginning)]


def recipes() -> dict[str, str]:
    """Return the recipes: what each is for, as its comment says, and the commands below that."""
    block = blocks("sh", TEXT.partition("### Recipes")[2])[0]
    found = {}
    for recipe in block.strip().split("\n\n"):
        title, _, script = recipe.partition("\n")
        assert title.startswith("# ") and script, f"not a recipe: {recipe!r}"
        found[title.removeprefix("# ")] = script
    return found
