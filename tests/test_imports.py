"""The house has floors: a package imports only from packages below its own, and the library starts light."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import trioecho

PACKAGE = Path(trioecho.__file__).parent

PACKAGES = [
    "root",
    "settings",
    "protocol",
    "transport",
    "http",
    "access",
    "rooms",
    "engine",
    "sessions",
    "web",
    "server",
    "asgi",
    "testing",
    "workers",
    "cli",
]
"""From the ground up: each may import from itself and from those before it."""

BESIDE = {"client": {"root", "protocol"}, "bench": {"root", "protocol"}}
"""What stands beside the server, and what each of these may import; the command line may import them."""

FRONT_DOOR = {"__init__", "__main__"}
"""What sees everything: the package's names, and the command."""

OPTIONAL = ["typer", "rich", "prompt_toolkit", "prometheus_client", "click", "hiredis"]
"""What only the command line or an extra needs."""

MODULES = {
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts): path for path in sorted(PACKAGE.rglob("*.py"))
}


def module_of(name: str) -> str:
    """Return the module that a dotted name below ``trioecho`` is, or is in."""
    for candidate in (
        name,
        f"{name}.__init__",
        name.rpartition(".")[0],
        name.rpartition(".")[0] + ".__init__",
    ):
        if candidate in MODULES:
            return candidate
    return "__init__"


def imports(path: Path) -> set[str]:
    """Return the modules of trioecho that a file imports, without the package's name."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        found |= {module_of(name.partition(".")[2]) for name in names if name.split(".")[0] == "trioecho"}
    return found


def package_of(module: str) -> str:
    return module.split(".")[0] if "." in module else "root"


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_only_from_packages_below(module: str) -> None:
    if module in FRONT_DOOR:
        return
    package = package_of(module)
    for imported in imports(MODULES[module]):
        below = package_of(imported)
        if package == "examples":
            allowed = imported == "__init__"  # as a user's own program
        elif package in BESIDE:
            allowed = below in BESIDE[package] or below == package
        elif package == "cli" and (below in BESIDE or imported == "__init__"):
            allowed = True  # the commands talk to both, and say the package's version
        else:
            allowed = below in PACKAGES and PACKAGES.index(below) <= PACKAGES.index(package)
            allowed = allowed and imported != "__init__"
        assert allowed, f"{module} may not import {imported}"


def test_no_module_imports_itself_by_way_of_others() -> None:
    below = {module: imports(path) for module, path in MODULES.items() if module not in FRONT_DOOR}

    done: set[str] = set()

    def follow(module: str, trail: tuple[str, ...]) -> None:
        assert module not in trail, " -> ".join((*trail, module))
        if module in done:
            return
        for imported in below.get(module, ()):
            if imported != module:
                follow(imported, (*trail, module))
        done.add(module)  # no way from it leads back to it

    for module in below:
        follow(module, ())


def test_every_package_has_its_place() -> None:
    found = {package_of(module) for module in MODULES}
    assert found == set(PACKAGES) | set(BESIDE) | {"examples"}


@pytest.mark.parametrize("module", MODULES)
def test_no_file_is_too_long_to_be_one_noun(module: str) -> None:
    assert len(MODULES[module].read_text().splitlines()) <= 300


def test_the_library_loads_nothing_that_only_the_command_line_needs() -> None:
    check = f"import sys, trioecho; print([name for name in {OPTIONAL!r} if name in sys.modules])"
    found = subprocess.run(
        [sys.executable, "-c", check], capture_output=True, text=True, check=True, cwd=PACKAGE.parent
    )
    assert found.stdout.strip() == "[]"
