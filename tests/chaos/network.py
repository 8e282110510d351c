"""A network of one's own whose cable can be pulled: a namespace, and a link to it. Needs root."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["Network", "network"]

NEAR, FAR = "10.213.77.1", "10.213.77.2"


class Network:
    """A namespace; ``through`` runs a command in it, and ``near`` is this host as seen from there."""

    near = NEAR

    def __init__(self, name: str, link: str) -> None:
        self.through = ["ip", "netns", "exec", name]
        self._name = name
        self._link = link

    def set_link(self, *, up: bool) -> None:
        """Pull the cable, or put it back."""
        _ip("-n", self._name, "link", "set", self._link, "up" if up else "down")


@contextmanager
def network() -> Iterator[Network | None]:
    """Make one until the block ends; None where that is not possible."""
    name, here, there = f"chaos{os.getpid()}", f"ch{os.getpid()}", f"cn{os.getpid()}"
    if (
        shutil.which("ip") is None
        or subprocess.run(["ip", "netns", "add", name], capture_output=True).returncode
    ):
        yield None
        return
    try:
        made = Network(name, there)
        try:
            _ip("link", "add", here, "type", "veth", "peer", "name", there, "netns", name)
            _ip("address", "add", f"{NEAR}/30", "dev", here)
            _ip("link", "set", here, "up")
            _ip("-n", name, "address", "add", f"{FAR}/30", "dev", there)
            made.set_link(up=True)
        except subprocess.CalledProcessError:
            yield None
        else:
            yield made
    finally:
        subprocess.run(["ip", "netns", "delete", name], capture_output=True)
        subprocess.run(["ip", "link", "delete", here], capture_output=True)


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)
