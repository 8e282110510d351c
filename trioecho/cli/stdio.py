"""
Standard input and output beside other tasks, without threads and without changing the files.

Both are shared with other processes, so they stay in blocking mode: a terminal left non-blocking breaks the
shell that comes after. Instead a read or write is tried only when the kernel says it will not block. Where it
has no such word, as for a file on disk, they never block for long.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable

import trio

__all__ = ["STDIN", "STDOUT", "read_some", "write_all"]

STDIN, STDOUT = 0, 1

READ_SIZE = 64 * 1024
"""How much is read at once (bytes): what a Linux pipe holds."""

WRITE_SIZE = 4096
"""
How much is written at once (bytes): a pipe that is ready takes this much without blocking (PIPE_BUF).
"""


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
