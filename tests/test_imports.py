"""The parts are floors: a module imports only from floors below its own, and the library starts light."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import trioecho

PACKAGE = Path(trioecho.__file__).parent

FLOORS = [
    {"limits", "disconnect", "log", "counters", "web", "web.accept", "web.answer"},
    {
        "frames",
        "batch",
        "lane",
        "plain",
        "web.request",
        "handshake",
        "web.page",
        "web.help",
        "web.event_format",
    },
    {"wire", "audience", "inbox", "web.exchange"},
    {"outbox"},
    {"room", "subscription", "hub"},
    {"keepalive", "context", "listening"},
    {"session", "web.event_stream", "web.publish", "web.figures", "web.site", "web.health", "web.metrics"},
    {"connection", "web.machines"},
    {"server"},
    {"cli"},
]
"""Within a floor a module may import from those beside it, as long as that makes no circle."""

BESIDE = {"client", "bench"}
"""What stands beside the server: each of these has the ground floor and itself."""

TOP = {"", "__main__"}
"""The front door and the command see everything."""

FLOOR_OF = {module: floor for floor, modules in enumerate(FLOORS) for module in modules}

OPTIONAL = ["typer", "rich", "prompt_toolkit", "prometheus_client", "click"]
"""What only the command line or an extra needs."""

MODULES = {
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix("__init__").rstrip("."): path
    for path in sorted(PACKAGE.rglob("*.py"))
}


def imports(path: Path) -> set[str]:
    """Return the modules of trioecho that a file imports, without the package's name."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            # `from trioecho import frames` names a module; `from trioecho.wire import Wire` is in one.
            base = node.module or ""
            names = [f"{base}.{alias.name}" for alias in node.names] if base == "trioecho" else [base]
        else:
            continue
        found |= {
            name.removeprefix("trioecho").lstrip(".") for name in names if name.split(".")[0] == "trioecho"
        }
    return found


def part_of(module: str) -> str:
    """The part a module belongs to: its package, but those of the web are each a part of their own."""
    package = module.split(".")[0]
    return module if package == "web" else package


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_only_from_floors_below(module: str) -> None:
    part = part_of(module)
    if part in TOP:
        return
    for imported in map(part_of, imports(MODULES[module])):
        if part in BESIDE:
            allowed = FLOOR_OF.get(imported) == 0 or imported == part
        else:
            # The command line may also have those beside the server, and the package's version.
            above = {*BESIDE, "__version__"} if part == "cli" else set()
            allowed = imported in above or FLOOR_OF.get(imported, 99) <= FLOOR_OF[part]
        assert allowed, f"{module} may not import {imported}"


def test_no_module_imports_itself_by_way_of_others() -> None:
    below = {module: imports(path) & set(MODULES) for module, path in MODULES.items() if module not in TOP}

    def follow(module: str, trail: tuple[str, ...]) -> None:
        assert module not in trail, " -> ".join((*trail, module))
        for imported in below.get(module, ()):
            if imported != module:
                follow(imported, (*trail, module))

    for module in below:
        follow(module, ())


def test_every_module_has_its_floor() -> None:
    assert {part_of(module) for module in MODULES} - TOP - BESIDE == set(FLOOR_OF)


def test_the_library_loads_nothing_that_only_the_command_line_needs() -> None:
    check = f"import sys, trioecho; print([name for name in {OPTIONAL!r} if name in sys.modules])"
    found = subprocess.run(
        [sys.executable, "-c", check], capture_output=True, text=True, check=True, cwd=PACKAGE.parent
    )
    assert found.stdout.strip() == "[]"
