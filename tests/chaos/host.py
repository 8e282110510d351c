"""
The server as a process: ``python -m chaos.host PING HOST...``; it prints its URL as the first line.

It is the library's server, with an address that says what it is made of: its tasks, open files, objects and
memory. ``PING`` is the seconds for everything that waits for a client: short, so that the vanished are found.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import sys
from functools import partial
from pathlib import Path

import trio

from trioecho import serve
from trioecho.http.request import Request
from trioecho.http.response import Response, json_response

__all__ = ["MADE_OF"]

MADE_OF = "/made-of"


async def made_of(request: Request) -> Response:
    """Say what the server is made of, once it has been tidied up."""
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):  # only glibc has it
        ctypes.CDLL(None).malloc_trim(0)  # give back what is free: the heap's shape is not what is measured
    return json_response(
        200,
        {
            "tasks": trio.lowlevel.current_statistics().tasks_living,
            "descriptors": len(os.listdir("/proc/self/fd")),
            "objects": len(gc.get_objects()),
            "memory": memory(),
        },
    )


def memory() -> int:
    """Return what is resident (bytes)."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def main() -> None:
    """Serve until killed."""
    seconds, hosts = float(sys.argv[1]), sys.argv[2:]
    async with trio.open_nursery() as nursery:
        run = partial(
            serve,
            host=hosts,
            port=0,
            when_slow="disconnect",
            ping_interval=seconds,
            ping_timeout=seconds,
            handshake_timeout=seconds,
            http_handlers={MADE_OF: made_of},
        )
        server = await nursery.start(run)
        print(server.url, flush=True)


if __name__ == "__main__":
    gc.set_threshold(5_000, 1_000, 100)  # as the command does
    trio.run(main)
