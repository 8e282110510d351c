"""
The manual: the command that shows it, its links, and what can be held against the code.

Its examples run in ``test_recipes.py`` and ``test_examples.py``. Run as a program, this file writes the page
``reference``.
"""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
import typer
from helpers.http_client import fetch
from helpers.markdown import MANUAL, PAGES, ROOT, prose, section
from helpers.server import serving
from helpers.server_process import environment

from trioecho import __version__, disconnect
from trioecho.cli import app
from trioecho.cli.client.terminal import COMMANDS
from trioecho.cli.reference import command_reference, options_reference
from trioecho.disconnect import Disconnect
from trioecho.settings import WhenSlow

NAMES = [name for name in PAGES if name != "README"]

LINK = re.compile(r"\]\(([^)\s]+)\)")

HEADER = """\
# Reference

Every command with its options, as `trioecho COMMAND --help` shows them. The options of `trioecho serve` can
also be set by an environment variable; sizes may have a unit (`512KiB`, `4MiB`, `1GiB`), and times are in
seconds.
"""


def reference() -> str:
    """Make the page ``reference`` from the code."""
    group: Any = typer.main.get_command(app)
    parts = [HEADER]
    for name, command in group.commands.items():
        tables = options_reference() if name == "serve" else command_reference(command)
        summary = " ".join((command.help or "").split("\n\n")[0].split())
        parts.append(f"## trioecho {name}\n\n{summary}\n\n{tables}")
    return "\n".join(parts)


def run(*arguments: str, **more: Any) -> subprocess.CompletedProcess[bytes]:
    """Run ``trioecho manual`` in a process of its own."""
    command = [sys.executable, "-m", "trioecho", "manual", *arguments]
    done: subprocess.CompletedProcess[bytes] = subprocess.run(
        command, **{"capture_output": True, "timeout": 20, "check": False, "env": environment(), **more}
    )
    return done


# The command.


@pytest.mark.parametrize("name", NAMES)
def test_a_page_comes_through_a_pipe_as_it_is_in_its_file(name: str) -> None:
    # Under a locale that cannot say it all, too.
    done = run(name, env=environment(LC_ALL="en_US.ISO-8859-1", PYTHONUTF8="0", PYTHONIOENCODING="ascii"))
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout == (MANUAL / f"{name}.md").read_bytes()


def test_without_a_name_it_shows_the_list_of_pages() -> None:
    assert run().stdout.decode() == PAGES["index"]


def at_a_terminal(*arguments: str) -> str:
    """Run ``trioecho manual`` at a terminal, and return what it wrote there."""
    ours, theirs = pty.openpty()
    try:
        variables = environment(TERM="xterm", COLUMNS="70")
        command = [sys.executable, "-m", "trioecho", "manual", *arguments]
        process = subprocess.Popen(command, stdout=theirs, stderr=theirs, env=variables)
        os.close(theirs)
        written = b""
        try:
            while data := os.read(ours, 65536):
                written += data
        except OSError:
            pass  # Linux says EIO at the end of a terminal's output.
        assert process.wait(20) == 0
    finally:
        os.close(ours)
    return written.decode()


def test_a_terminal_gets_it_rendered_to_its_width() -> None:
    written = at_a_terminal("serving")
    assert "\x1b[1" in written and "```" not in written and "# Serving" not in written
    plain = re.sub(r"\x1b\[[\d;]*m", "", written).replace("\r\n", "\n")
    assert "Shutting down" in plain and "reference lists all options" in " ".join(plain.split())
    assert "reference.md" not in plain
    assert max(len(line.rstrip()) for line in plain.splitlines()) <= 70


@pytest.mark.parametrize("name", ["grafana.json", "alerts.yml"])
def test_a_file_for_another_program_comes_as_it_is(name: str) -> None:
    for asked in (name, name.partition(".")[0]):
        assert run(asked).stdout == (MANUAL / name).read_bytes()
    assert at_a_terminal(name).replace("\r\n", "\n") == (MANUAL / name).read_text()


@pytest.mark.parametrize("name", ["HTTP", "http.md", "Slow Clients", "slow_clients"])
def test_a_name_may_be_written_in_other_ways(name: str) -> None:
    assert run(name).stdout.decode() in PAGES.values()


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("htpp", "did you mean http?"),
        ("slow", "did you mean slow-clients?"),
        ("client", "did you mean clients"),
        ("qqq", f"there are {', '.join(sorted(NAMES))}"),
        ("../../etc/passwd", ""),
        ("", ""),
        ("a\x1b[2J\n", ""),
        ("x" * 10_000, ""),
    ],
)
def test_a_wrong_name_is_one_sentence_with_the_nearest_ones(name: str, advice: str) -> None:
    done = run(name)
    assert (done.returncode, done.stdout) == (2, b"")
    (line,) = done.stderr.decode().splitlines()
    assert "the manual has no page" in line and advice in line
    assert line.isprintable() and len(line) < 400


def test_a_reader_that_has_enough_ends_it_quietly() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = run("reference", capture_output=False, stdout=writing, stderr=subprocess.PIPE)
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_one_sentence() -> None:
    with open("/dev/full", "wb") as full:
        done = run(capture_output=False, stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 1
    assert done.stderr == b"trioecho: standard output cannot be written: no space left on device\n"


def test_the_shell_completes_the_pages_names() -> None:
    asked = {"_TRIOECHO_COMPLETE": "complete_bash", "COMP_WORDS": "trioecho manual s", "COMP_CWORD": "2"}
    command = "import sys; sys.argv = ['trioecho']; from trioecho.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", command], capture_output=True, check=True, env=environment(**asked)
    )
    assert done.stdout.split() == [b"security", b"serving", b"slow-clients"]


def test_the_wheel_brings_every_page(tmp_path: Path) -> None:
    build = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--wheel-dir",
        str(tmp_path),
        str(ROOT),
    ]
    done = subprocess.run(build, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode and "hatchling" in done.stderr:
        pytest.skip("building a wheel takes hatchling, and there is no package index to get it from")
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        for path in MANUAL.iterdir():
            assert archive.read(f"trioecho/manual/{path.name}") == path.read_bytes()


# The pages among themselves.


def test_the_list_has_every_page_with_a_line_of_its_own() -> None:
    rows = re.findall(r"^\| \[([a-z-]+)\]\(([a-z-]+)\.md\) \| \S.*\. \|$", PAGES["index"], re.M)
    assert all(name == target for name, target in rows)
    assert sorted([*dict(rows), "index"]) == sorted(NAMES)


def anchors(text: str) -> set[str]:
    """Return the anchors that GitHub gives a page's headings."""
    headings = re.findall(r"^#+ (.+)$", text, re.M)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", PAGES)
def test_every_link_leads_somewhere(name: str) -> None:
    folder = ROOT if name == "README" else MANUAL
    for target in LINK.findall(prose(name)):
        if not re.match("https?:", target):
            path, _, anchor = target.partition("#")
            file = folder / path
            assert file.is_file(), target
            assert not anchor or anchor in anchors(file.read_text()), target


# The pages against the code.


def test_the_reference_is_what_the_code_says() -> None:
    assert PAGES["reference"] == reference(), "it is out of date: run python tests/test_manual.py"


@pytest.mark.parametrize("name", ["README", "architecture"])
def test_every_package_is_in_the_picture(name: str) -> None:
    folders = {path.parent.name for path in (ROOT / "trioecho").glob("*/__init__.py")}
    assert folders <= set(re.findall(r"(\w+)/", PAGES[name]))


def test_the_changelog_has_this_version() -> None:
    assert re.search(rf"^## {re.escape(__version__)}$", PAGES["changelog"], re.M)


@pytest.mark.parametrize("name", PAGES)
def test_every_option_and_variable_that_is_named_exists(name: str) -> None:
    commands = typer.main.get_command(app).commands.values()  # type: ignore[attr-defined]
    options = [option for command in commands for option in command.params]
    known = {name for option in options for name in (*option.opts, *getattr(option, "secondary_opts", ()))}
    # Those of pip and curl, of what builds images and runs them, and of typer itself.
    others = {"--quiet", "--compressed", "--editable", "--help", "--install-completion"}
    others |= {"--eval", "--from", "--from-file", "--format", "--interval", "--no-cache-dir", "--now"}
    # The options of the programs among the tests are none of the command's.
    text = re.sub(r"`python (?:tests/benchmarks|-m tests\.)[^`]*`", "", PAGES[name])
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]*", text)) <= known | others
    variables = {option.envvar for option in options}
    assert set(re.findall(r"TRIOECHO_[A-Z_]+", text)) <= variables


def cells(page: str, heading: str) -> Iterator[str]:
    """Return what stands as code in the first column of a section's tables."""
    for first in re.findall(r"^\| (`.*?) \|", section(page, heading), re.M):
        yield from re.findall(r"`([^`]+)`", first)


def test_every_policy_is_described() -> None:
    assert tuple(cells("slow-clients", "Slow clients")) == get_args(WhenSlow)


def test_every_command_of_the_terminal_is_described() -> None:
    described = {cell.split()[0] for cell in cells("clients", "In a terminal")}
    assert described == {"/help", *re.findall("^/[a-z]+", COMMANDS, re.M)}


def test_every_reason_to_disconnect_is_described() -> None:
    reasons = {
        value.name: str(value.code) for value in vars(disconnect).values() if isinstance(value, Disconnect)
    }
    # Those that have no name in that module: what trio-websocket finds, and what the client says itself.
    reasons |= {"protocol-error": "1002", "invalid-text": "1007", "client-closed": "the client's"}
    rows = dict(re.findall(r"^\| `([a-z-]+)` \| (.+?) \| .+ \|$", section("serving", "The log"), re.M))
    assert rows == reasons


async def test_every_key_of_the_stats_and_every_metric_is_described() -> None:
    async with serving() as server:
        stats = await fetch(server.url, headers={"Accept": "application/json"})
        assert list(cells("http", "Stats")) == list(stats.value)
        metrics = (await fetch(server.url, "/metrics")).text
    names = re.findall(r"^# TYPE (trioecho_\w+) (?!gauge \w+_created)", metrics, re.M)
    described = [cell for cell in cells("http", "Health and metrics") if cell.startswith("trioecho_")]
    assert set(described) == {name for name in names if not name.endswith("_created")}


if __name__ == "__main__":
    (MANUAL / "reference.md").write_text(reference())
