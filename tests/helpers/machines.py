"""Machines in networks of their own: namespaces behind a router that loses what it is told to."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

__all__ = ["Machine", "Machines", "machines"]


class Machine:
    """One machine: its address, and what a command begins with that runs on it (``through``)."""

    def __init__(self, number: int) -> None:
        self.address = f"10.214.{number}.2"
        self.gateway = f"10.214.{number}.1"
        self.space = f"te{os.getpid()}m{number}"
        self.near, self.far = f"te{os.getpid()}r{number}", f"te{os.getpid()}e{number}"
        self.through = ["ip", "netns", "exec", self.space]


class Machines:
    """Machines that reach each other through a router; files and Unix sockets are the test's own."""

    def __init__(self, members: list[Machine], router: str) -> None:
        self.members = members
        self._router = router

    def lose(self, sender: Machine, receiver: Machine) -> None:
        """Lose what goes from one to another, without a word to anybody; the other direction works."""
        self._rule("add", sender, receiver)

    def deliver(self, sender: Machine, receiver: Machine) -> None:
        """Deliver it again."""
        self._rule("delete", sender, receiver)

    def set_cable(self, machine: Machine, *, plugged: bool) -> None:
        """Pull a machine's cable, or put it back."""
        _ip("-n", self._router, "link", "set", machine.near, "up" if plugged else "down")

    def _rule(self, do: str, sender: Machine, receiver: Machine) -> None:
        way = ["from", sender.address, "to", receiver.address]
        _ip("-n", self._router, "rule", do, *way, "priority", "100", "blackhole")


@contextmanager
def machines(count: int) -> Iterator[Machines]:
    """Make so many for the length of a block; the test is skipped where that is not possible."""
    if shutil.which("ip") is None:
        pytest.skip("needs ip: apt-get install iproute2")
    with ExitStack() as stack:
        router = f"te{os.getpid()}router"
        _space(router, stack)
        members = [Machine(number) for number in range(1, count + 1)]
        for machine in members:
            _space(machine.space, stack)
            # The cable's ends are made where they belong, so that they go with their namespaces.
            ends = ["name", machine.far, "netns", machine.space]
            _ip("-n", router, "link", "add", machine.near, "type", "veth", "peer", *ends)
            _ip("-n", router, "address", "add", f"{machine.gateway}/24", "dev", machine.near)
            _ip("-n", router, "link", "set", machine.near, "up")
            _ip("-n", machine.space, "address", "add", f"{machine.address}/24", "dev", machine.far)
            _ip("-n", machine.space, "link", "set", machine.far, "up")
            _ip("-n", machine.space, "route", "add", "default", "via", machine.gateway)
        _run("ip", "netns", "exec", router, "sysctl", "-qw", "net.ipv4.ip_forward=1")
        yield Machines(members, router)


def _space(name: str, stack: ExitStack) -> None:
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True)
    if made.returncode:
        pytest.skip(f"needs a network namespace, which only root may make: {made.stderr.strip()}")
    stack.callback(subprocess.run, ["ip", "netns", "delete", name], capture_output=True)
    _ip("-n", name, "link", "set", "lo", "up")


def _ip(*arguments: str) -> None:
    _run("ip", *arguments)


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"needs a network of its own: {' '.join(command)}: {done.stderr.strip()}")
