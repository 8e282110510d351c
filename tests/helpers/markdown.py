"""The README and the manual as tests read them: pages, examples, links."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = [
    "EXAMPLES",
    "MANUAL",
    "PAGES",
    "README",
    "ROOT",
    "Example",
    "commands",
    "example",
    "prose",
    "section",
]

ROOT = Path(__file__).parents[2]

MANUAL = ROOT / "trioecho" / "manual"

README = (ROOT / "README.md").read_text()

PAGES = {"README": README, **{path.stem: path.read_text() for path in sorted(MANUAL.glob("*.md"))}}
"""The text of every page by its name, the README among them."""

PICTURES = {"text"}
"""The languages of blocks that only show something."""

FILES = {"conf", "dockerfile", "haproxy", "ini", "yaml"}
"""The languages of blocks that are one file each."""

BLOCK = re.compile(r"^```(\S*)\n(.*?)^```$", re.M | re.S)


@dataclass(frozen=True)
class Example:
    """
    Something that a reader may copy and run.

    A Python block is one example, named by its docstring. In a block of shell or of a configuration each
    part between blank lines is one, named by the comment above it; in a console, each command line. A file
    of another program is one example, named by the comment in its first line.
    """

    page: str
    language: str
    title: str
    code: str

    def __str__(self) -> str:
        return f"{self.page}: {self.title}"


def examples(page: str, text: str) -> Iterator[Example]:
    """Take the examples of a page from its text."""
    for language, block in BLOCK.findall(text):
        if language in PICTURES:
            continue
        if language == "console":
            for line in block.splitlines():
                assert line.startswith("$ "), f"{page}: a console shows command lines, not {line!r}"
                yield Example(page, language, line[2:], line[2:])
        elif language == "python":
            title = re.match(r'"""(.+)\."""\n', block)
            assert title, f"{page}: a Python example begins with a docstring of one line:\n{block}"
            yield Example(page, language, title[1], block)
        elif language == "js":
            title = re.match(r"// (.+)\n", block)
            assert title, (
                f"{page}: a JavaScript example begins with a comment that says what it is for:\n{block}"
            )
            yield Example(page, language, title[1], block)
        elif language == "lua":
            title = re.match(r"-- (.+)\n", block)
            assert title, f"{page}: a script begins with a comment that says what it is for:\n{block}"
            yield Example(page, language, title[1], block)
        else:
            assert language in FILES | {"sh", "nginx"}, f"{page}: nothing runs {language!r}:\n{block}"
            for part in [block] if language in FILES else block.strip().split("\n\n"):
                title = re.match(r"# (.+)\n.", part)
                assert title, f"{page}: an example begins with a comment that says what it is for:\n{part}"
                yield Example(page, language, title[1], part)


EXAMPLES = [found for page, text in PAGES.items() for found in examples(page, text)]


def example(page: str, title: str) -> str:
    """Return the code of an example."""
    (found,) = [example.code for example in EXAMPLES if (example.page, example.title) == (page, title)]
    return found


def commands(beginning: str = "") -> list[str]:
    """Return the command lines of the README that begin like this."""
    lines = [
        example.code for example in EXAMPLES if (example.page, example.language) == ("README", "console")
    ]
    return [line for line in lines if line.startswith(beginning)]


def section(page: str, heading: str) -> str:
    """Return what stands below a heading, up to the next, without blocks of code."""
    found = re.search(rf"^#+ {re.escape(heading)}\n(.*?)(?=^#|\Z)", prose(page), re.M | re.S)
    assert found, f"{page} has no section {heading!r}"
    return found[1]


def prose(page: str) -> str:
    """Return a page without its blocks of code."""
    return BLOCK.sub("", PAGES[page])
