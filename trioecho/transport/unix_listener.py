"""
A Unix socket to listen on, which is there whole or not at all: made beside its path and renamed into place.

A socket file outlives the process that made it, and ``bind`` refuses a path that is taken (unix(7)). So a
stale one, to which nobody answers, is replaced; a live one, or anything that is no socket, never is. Two
servers that start at the same time take turns under a lock on a file beside the path, which stays.
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import trio

from trioecho.system_errors import reason_of
from trioecho.transport.listeners import ListenError

__all__ = ["UnixListener", "lasting_path", "open_unix_listener"]

MODE = 0o660
"""Who may connect by default: the owner and the group, which a proxy is made a member of."""

MAX_PATH_BYTES = 107 if os.uname().sysname == "Linux" else 103
"""The longest path of a socket (``sun_path`` less its final zero, unix(7))."""

BACKLOG = 4096
"""Connections that wait to be accepted; the system lowers it to its own bound (listen(2))."""

TEMPORARY = ".new"
LOCK = ".lock"


class UnixListener(trio.abc.Listener[trio.SocketStream]):
    """
    A listener that removes its path when it is closed, if the file there is still its own.

    Attributes:
        path: where it listens.
        listener: the listener of trio's that does the work.

    """

    def __init__(self, listening: socket.socket, path: str) -> None:
        self.listener = trio.SocketListener(trio.socket.from_stdlib_socket(listening))
        self.path = path
        self._identity = _identity(path)

    async def accept(self) -> trio.SocketStream:
        """Wait for a connection, as :meth:`trio.SocketListener.accept` does."""
        return await self.listener.accept()

    async def aclose(self) -> None:
        """Remove the path and close; twice is harmless."""
        if self._identity is not None:
            identity, self._identity = self._identity, None
            with suppress(OSError), _locked(self.path):
                if _identity(self.path) == identity:
                    os.unlink(self.path)
        await self.listener.aclose()


def open_unix_listener(path: str, *, mode: int = MODE) -> UnixListener:
    """
    Listen on ``path``, which gets the permissions ``mode``. It takes no time worth waiting for.

    Raises:
        ListenError: the path is too long, taken by a live server or by what is no socket, or not allowed.

    """
    # The temporary name and the lock's are longer than the path, and only the first is a socket's.
    length = len(os.fsencode(path) + TEMPORARY.encode())
    if not path or "\0" in path:
        raise ListenError("cannot listen on a Unix socket without a path")
    if length > MAX_PATH_BYTES:
        limit = MAX_PATH_BYTES - len(TEMPORARY)
        raise ListenError(f"cannot listen on {path}: a socket's path has at most {limit} bytes here")
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    temporary = path + TEMPORARY
    try:
        with _locked(path):
            _check_free(path)
            # Only who holds the lock uses the temporary name: what stands there was left by a crash.
            with suppress(FileNotFoundError):
                if not stat.S_ISSOCK(os.lstat(temporary).st_mode):
                    raise ListenError(f"cannot listen on {path}: {temporary} is in the way; remove it")
                os.unlink(temporary)
            listening.bind(temporary)
            try:
                os.chmod(temporary, mode)
                listening.listen(BACKLOG)
                os.rename(temporary, path)
            except BaseException:
                os.unlink(temporary)
                raise
            return UnixListener(listening, path)
    except OSError as error:
        listening.close()
        raise ListenError(f"cannot listen on {path}: {reason_of(error)}") from error
    except BaseException:
        listening.close()
        raise


def lasting_path(name: str) -> str:
    """Return where a socket is that the kernel calls ``name``: it knows a renamed one by its first name."""
    return name if os.path.lexists(name) else name.removesuffix(TEMPORARY)


@contextmanager
def _locked(path: str) -> Iterator[None]:
    """
    Be the only one of our kind who changes what stands at ``path``; nobody holds the lock for long.

    The lock's file stays: to remove it safely would take another lock.
    """
    number = os.open(path + LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(number, fcntl.LOCK_EX)
        yield
    finally:
        os.close(number)


def _check_free(path: str) -> None:
    """Raise :class:`ListenError` unless there is nothing at ``path``, or a socket to which nobody answers."""
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(found.st_mode):
        raise ListenError(f"cannot listen on {path}: there is a file that is no socket; choose another path")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        refused = probe.connect_ex(path)
    if refused not in (errno.ECONNREFUSED, errno.ENOENT):
        # Connected, or the backlog is full (EAGAIN), another kind (EPROTOTYPE), or barred (EACCES).
        raise ListenError(f"cannot listen on {path}: another process listens there")


def _identity(path: str) -> tuple[int, int] | None:
    try:
        found = os.lstat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino
