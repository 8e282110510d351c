"""
Standard input and output beside other tasks, without threads and without changing the files.

Both are shared with other processes, so they stay in blocking mode: a terminal left non-blocking breaks the
shell that comes after. Instead a read or write is tried only when the kernel says it will not block. Where it
has no such word, as for a file on disk, they never block for long.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Awaitable, Callable

import trio

from trioecho.cli.errors import Failure
from trioecho.system_errors import reason_of

__all__ = ["STDERR", "STDIN", "STDOUT", "hold_closed", "print_all", "read_some", "write_all"]

STDIN, STDOUT, STDERR = 0, 1, 2

READ_SIZE = 64 * 1024
"""How much is read at once (bytes): what a Linux pipe holds."""

WRITE_SIZE = 4096
"""
How much is written at once (bytes): a pipe that is ready takes this much without blocking (PIPE_BUF).
"""


def hold_closed() -> None:
    """
    Take the place of standard streams that were closed before we started, as by `<&-` or a bare service.

    Otherwise the next file or socket that is opened would get their number, and be taken for them. Reading or
    writing them stays an error; what is said on a standard error that is none goes nowhere.
    """
    for fd, unusable in ((STDIN, os.O_WRONLY), (STDOUT, os.O_RDONLY), (STDERR, os.O_WRONLY)):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, unusable)
    if sys.stderr is None:
        sys.stderr = open(STDERR, "w", closefd=False)


def print_all(text: str) -> None:
    """
    Write to standard output; a reader that has seen enough (as ``head``) ends it quietly.

    In UTF-8 whatever the locale says, as our files are; past ``sys.stdout``, which would complain of a closed
    pipe once more when Python exits.

    Raises:
        Failure: it cannot be written.

    """
    rest = memoryview(text.encode())
    try:
        while rest:
            rest = rest[os.write(STDOUT, rest) :]
    except BrokenPipeError:
        pass
    except OSError as error:
        raise Failure(f"standard output cannot be written: {reason_of(error)}") from error


async def read_some(fd: int) -> bytes:
    """
    Read what is there, at most 64 KiB; empty at the end. Cancelling loses nothing.

    Raises:
        OSError: it cannot be read.

    """
    await _ready(trio.lowlevel.wait_readable, fd)
    return os.read(fd, READ_SIZE)


async def write_all(fd: int, data: bytes) -> None:
    """
    Write all of it. Cancelled, part of it may have been written.

    Raises:
        BrokenPipeError: nobody reads it any more.
        OSError: it cannot be written.

    """
    rest = memoryview(data)
    while rest:
        await _ready(trio.lowlevel.wait_writable, fd)
        rest = rest[os.write(fd, rest[:WRITE_SIZE]) :]


async def _ready(wait: Callable[[int], Awaitable[None]], fd: int) -> None:
    try:
        await wait(fd)
    except PermissionError:
        # epoll knows pipes, terminals and sockets; a file on disk it refuses.
        await trio.lowlevel.checkpoint()
