"""A Unix socket is taken over when it is stale, never when it is live, and removed when it is still ours."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import trio

from trioecho.transport.listeners import ListenError
from trioecho.transport.unix_listener import MAX_PATH_BYTES, open_unix_listener

pytestmark = pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="Unix sockets are for POSIX")


def leave_stale(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as gone:
        gone.bind(str(path))


async def test_clients_connect_and_the_path_goes_with_the_listener(tmp_path: Path) -> None:
    path = tmp_path / "trioecho.sock"
    async with open_unix_listener(str(path)) as listener:
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
        client = await trio.open_unix_socket(str(path))
        async with client, await listener.accept() as served:
            await client.send_all(b"hello")
            assert await served.receive_some() == b"hello"
    await listener.aclose()
    assert os.listdir(tmp_path) == ["trioecho.sock.lock"]


@pytest.mark.parametrize("mode", [0o600, 0o666, 0o777])
async def test_the_mode_is_as_asked_for_whatever_the_umask(tmp_path: Path, mode: int) -> None:
    before = os.umask(0o077)
    try:
        async with open_unix_listener(str(tmp_path / "s"), mode=mode):
            assert stat.S_IMODE((tmp_path / "s").stat().st_mode) == mode
    finally:
        os.umask(before)


async def test_what_a_crash_left_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "s"
    leave_stale(path)
    leave_stale(tmp_path / "s.new")
    async with open_unix_listener(str(path)):
        await (await trio.open_unix_socket(str(path))).aclose()
        assert not (tmp_path / "s.new").exists()


async def test_a_live_server_is_never_replaced(tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    async with open_unix_listener(path):
        with pytest.raises(ListenError, match=r"cannot listen on .*/s: another process listens there"):
            open_unix_listener(path)
        await (await trio.open_unix_socket(path)).aclose()


async def test_a_live_server_with_a_full_backlog_or_of_another_kind_is_never_replaced(tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX) as busy, socket.socket(socket.AF_UNIX) as waiting:
        busy.bind(path)
        busy.listen(0)
        waiting.connect(path)
        with pytest.raises(ListenError, match="another process listens there"):
            open_unix_listener(path)
    datagrams = str(tmp_path / "d")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
        other.bind(datagrams)
        with pytest.raises(ListenError, match="another process listens there"):
            open_unix_listener(datagrams)


async def test_what_is_no_socket_is_never_removed(tmp_path: Path) -> None:
    file, directory, link = tmp_path / "file", tmp_path / "directory", tmp_path / "link"
    file.write_text("precious")
    directory.mkdir()
    link.symlink_to(file)
    for path in file, directory, link:
        with pytest.raises(ListenError, match="there is a file that is no socket; choose another path"):
            open_unix_listener(str(path))
    (tmp_path / "s.new").write_text("precious")
    with pytest.raises(ListenError, match=r"s\.new is in the way"):
        open_unix_listener(str(tmp_path / "s"))
    assert file.read_text() == (tmp_path / "s.new").read_text() == "precious"
    assert directory.is_dir()
    assert link.is_symlink()


async def test_what_is_not_ours_any_more_stays(tmp_path: Path) -> None:
    path = tmp_path / "s"
    first = open_unix_listener(str(path))
    path.unlink()
    async with open_unix_listener(str(path)):
        await first.aclose()
        await (await trio.open_unix_socket(str(path))).aclose()


async def test_a_path_that_cannot_work_is_said_in_one_sentence(tmp_path: Path) -> None:
    room = MAX_PATH_BYTES - len(".new") - len(os.fsencode(tmp_path)) - 1
    async with open_unix_listener(str(tmp_path / ("x" * room))):
        pass
    limit = MAX_PATH_BYTES - len(".new")
    with pytest.raises(ListenError, match=f"a socket's path has at most {limit} bytes here"):
        open_unix_listener(str(tmp_path / ("x" * (room + 1))))
    for path, why in ("", "without a path"), ("a\0b", "without a path"):
        with pytest.raises(ListenError, match=why):
            open_unix_listener(path)
    with pytest.raises(ListenError, match="no such file or directory"):
        open_unix_listener(str(tmp_path / "none" / "s"))


def test_of_many_that_start_at_once_over_a_stale_socket_one_listens(tmp_path: Path) -> None:
    path = tmp_path / "s"
    leave_stale(path)
    program = """
import sys, trio
from trioecho.transport.listeners import ListenError
from trioecho.transport.unix_listener import open_unix_listener
async def main():
    sys.stdin.readline()
    try:
        async with open_unix_listener(sys.argv[1]):
            print("listening", flush=True)
            sys.stdin.readline()
    except ListenError:
        print("refused", flush=True)
        sys.stdin.readline()
trio.run(main)
"""
    pipe = subprocess.PIPE
    starters = [
        subprocess.Popen([sys.executable, "-c", program, str(path)], stdin=pipe, stdout=pipe, text=True)
        for _ in range(5)
    ]
    try:
        for starter in starters:
            assert starter.stdin is not None
            starter.stdin.write("go\n")
            starter.stdin.flush()
        said = [starter.stdout.readline().strip() for starter in starters if starter.stdout is not None]
        assert sorted(said) == ["listening", *["refused"] * 4]
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
    finally:
        for starter in starters:
            starter.communicate("stop\n", timeout=20)
    assert not path.exists()
