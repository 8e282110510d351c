"""Sockets are taken over from a service manager, and it is told what it asked to be told."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from trioecho.transport.listeners import ListenError
from trioecho.transport.systemd import inherited_listeners, notify, watchdog_interval

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="systemd is for Linux")

SERVICE = """
import json, os, sys, trio
from trioecho.transport.listeners import ListenError
from trioecho.transport.systemd import inherited_listeners, notify, watchdog_interval

async def main():
    try:
        listeners = inherited_listeners()
    except ListenError as error:
        print(json.dumps(str(error)), flush=True)
        return
    left = sorted(name for name in os.environ if name.startswith("LISTEN_"))
    inheritable = [os.get_inheritable(listener.socket.fileno()) for _, listener in listeners]
    notify("READY=1", "STATUS=Serving")
    print(json.dumps([[name for name, _ in listeners], left, inheritable, watchdog_interval()]), flush=True)
    for _, listener in listeners:
        async with listener, await listener.accept() as stream:
            await stream.send_all(await stream.receive_some())
    notify("STOPPING=1")

trio.run(main)
"""

LAUNCHER = (
    "import os, sys; os.environ['LISTEN_PID'] = str(os.getpid()); os.execv(sys.executable, sys.argv[1:])"
)
"""What systemd does between fork and exec: the variable holds the number of the process that is to serve."""


def start(handed: list[int], **environment: str) -> subprocess.Popen[str]:
    """Start the service with ``handed`` as its descriptors from 3 on."""

    def hand_over() -> None:
        copies = [os.dup(number) for number in handed]  # first out of the way of one another
        moved = [os.dup2(number, 100 + index) for index, number in enumerate(copies)]
        for index, number in enumerate(moved):
            os.dup2(number, 3 + index)

    return subprocess.Popen(
        [sys.executable, "-c", LAUNCHER, sys.executable, "-c", SERVICE],
        stdout=subprocess.PIPE,
        text=True,
        close_fds=False,
        preexec_fn=hand_over,
        env={**os.environ, "LISTEN_FDS": str(len(handed)), **environment},
    )


def said(service: subprocess.Popen[str]) -> object:
    assert service.stdout is not None
    return json.loads(service.stdout.readline())


def test_sockets_of_each_family_are_handed_over_and_served(tmp_path: Path) -> None:
    told = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    told.bind(str(tmp_path / "notify"))
    told.settimeout(20)
    listening = [socket.create_server(("127.0.0.1", 0)), socket.socket(socket.AF_UNIX)]
    listening[1].bind(str(tmp_path / "listen"))
    listening[1].listen()
    service = start(
        [end.fileno() for end in listening],
        LISTEN_FDNAMES="web:local",
        NOTIFY_SOCKET=str(tmp_path / "notify"),
        WATCHDOG_USEC="3000000",
    )
    try:
        assert said(service) == [["web", "local"], [], [False, False], 1.5]
        assert told.recv(100) == b"READY=1\nSTATUS=Serving"
        for end in listening:
            with socket.socket(end.family) as client:
                client.settimeout(20)
                client.connect(end.getsockname())
                client.sendall(b"hello")
                assert client.recv(10) == b"hello"
        assert told.recv(100) == b"STOPPING=1"
        assert service.wait(20) == 0
    finally:
        service.kill()
        service.communicate()
        for end in (*listening, told):
            end.close()


def no_socket() -> int:
    return os.open("/dev/null", os.O_RDONLY)


def datagrams() -> int:
    return socket.socket(socket.AF_INET, socket.SOCK_DGRAM).detach()


def connected() -> int:
    near, far = socket.socketpair()
    far.close()
    return near.detach()


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (no_socket, "descriptor 3 of those handed over (LISTEN_FDS) is no socket: "),
        (datagrams, "descriptor 3 of those handed over (LISTEN_FDS) does not listen for connections; use"),
        (connected, "descriptor 3 of those handed over (LISTEN_FDS) does not listen for connections; use"),
    ],
)
def test_what_is_no_listening_socket_is_said(make: Callable[[], int], problem: str) -> None:
    number = make()
    service = start([number])
    os.close(number)
    output, _ = service.communicate(timeout=20)
    assert json.loads(output).startswith(problem)
    assert service.returncode == 0


def test_sockets_for_another_process_are_left_alone() -> None:
    for variables in {}, {"LISTEN_PID": "1", "LISTEN_FDS": "1"}, {"LISTEN_FDS": "1"}:
        environment = {**variables, "OTHER": "x"}
        assert inherited_listeners(environment) == []
        assert environment == {"OTHER": "x"}


@pytest.mark.parametrize("count", ["-1", "x", "99999", "1.5", "\u0663"])
def test_a_number_of_sockets_that_is_none_is_said(count: str) -> None:
    with pytest.raises(ListenError, match="LISTEN_FDS must be a number of sockets, not"):
        inherited_listeners({"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": count})


@pytest.mark.parametrize("abstract", [False, True])
def test_the_manager_is_told_by_a_path_or_an_abstract_name(tmp_path: Path, abstract: bool) -> None:
    name = f"@trioecho-test-{os.getpid()}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind("\0" + name[1:] if abstract else name)
        environment = {"NOTIFY_SOCKET": name}
        assert notify("WATCHDOG=1", environment=environment)
        assert manager.recv(100) == b"WATCHDOG=1"
        before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        assert notify("RELOADING=1", environment=environment)
        state, _, usec = manager.recv(100).decode().partition("\n")
        assert state == "RELOADING=1"
        assert before <= int(usec.removeprefix("MONOTONIC_USEC=")) <= before + 60_000_000


def test_without_a_manager_or_with_one_that_is_stuck_nothing_happens(tmp_path: Path) -> None:
    for name in "", "relative", "vsock:2:1", str(tmp_path / "none"), "/" + "x" * 200:
        assert not notify("READY=1", environment={"NOTIFY_SOCKET": name})
    assert not notify("READY=1", environment={})
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as stuck:
        stuck.bind(str(tmp_path / "stuck"))
        environment = {"NOTIFY_SOCKET": str(tmp_path / "stuck")}
        assert any(not notify("WATCHDOG=1", environment=environment) for _ in range(10_000))


def test_the_watchdog_is_fed_twice_in_its_time() -> None:
    own = str(os.getpid())
    assert watchdog_interval({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": own}) == 15
    assert watchdog_interval({"WATCHDOG_USEC": "30000000"}) == 15
    assert watchdog_interval({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}) is None
    for value in "", "0", "-5", "x", "1e6", "9" * 5000:
        assert watchdog_interval({"WATCHDOG_USEC": value}) is None
