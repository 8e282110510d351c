"""
A log that never holds up its program, whatever becomes of the file it goes to.

Nobody promises to read standard error: the pipe to a log collector that hangs is full after 64 KiB, and the
next write waits for ever. So lines go into a bounded queue, and a thread of its own takes them out and writes
them; a line that finds the queue full is left out and counted, and the count is logged once there is room.
"""

from __future__ import annotations

import logging
import os
import select
import threading
from collections import deque

__all__ = ["LogWriter"]

QUEUE_BYTES = 1024 * 1024
"""How much may wait to be written (bytes): some thousands of lines."""

MAX_LINE_BYTES = 64 * 1024
"""A longer line is cut (bytes); only a traceback could be one, and its end says what happened."""

GATHERING = 0.01
"""How long lines gather after the first (seconds). A thread that woke for each would take the interpreter
from the server each time, and at some thousand lines a second a quarter of its time."""

FLUSH_TIMEOUT = 1.0
"""How long the end of the program waits for what is still to be written (seconds)."""


class LogWriter(logging.Handler):
    """
    A handler that writes records as lines to a file descriptor, from a thread.

    :meth:`close` writes what is left, within a second. The descriptor is neither closed nor changed.
    """

    def __init__(self, fd: int, *, queue_bytes: int = QUEUE_BYTES) -> None:
        super().__init__()
        self._fd = fd
        self._queue_bytes = queue_bytes
        self._lines: deque[bytes] = deque()
        self._waiting = 0
        self._left_out = 0
        self._closing = False
        self._idle = False  # whether the thread waits for a line, and not only for more of them
        self._changed = threading.Condition(threading.Lock())
        # A daemon: the program can end while it is stuck in a write.
        self._thread = threading.Thread(target=self._run, name="log writer", daemon=True)
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        """Queue a record, or count that it was left out; never waits for the file."""
        try:
            line = self._encoded(record)
        except Exception:
            self.handleError(record)
            return
        with self._changed:
            if self._closing:
                return
            if self._waiting + len(line) > self._queue_bytes:
                self._left_out += 1
                return
            self._lines.append(line)
            self._waiting += len(line)
            if self._idle:
                self._idle = False
                self._changed.notify()

    def close(self) -> None:
        """Write what is queued, for at most a second, and end the thread if it is not stuck."""
        with self._changed:
            self._closing, self._idle = True, False
            self._changed.notify()
        self._thread.join(FLUSH_TIMEOUT)
        super().close()

    def _encoded(self, record: logging.LogRecord) -> bytes:
        line = self.format(record).encode(errors="backslashreplace")
        if len(line) > MAX_LINE_BYTES:
            half = MAX_LINE_BYTES // 2
            line = b"%s\n... %d bytes left out ...\n%s" % (line[:half], len(line) - 2 * half, line[-half:])
        return line + b"\n"

    def _run(self) -> None:
        while (data := self._next()) is not None:
            self._write(data)

    def _next(self) -> bytes | None:
        """
        Wait for lines, let more gather, and take all there are, with a last one for those left out.

        ``None`` at the end.
        """
        with self._changed:
            while True:
                if not self._closing:
                    self._changed.wait(GATHERING)
                if self._lines or self._left_out:
                    break
                if self._closing:
                    return None
                self._idle = True
                self._changed.wait()
            data = b"".join(self._lines)
            self._lines.clear()
            self._waiting = 0
            left_out, self._left_out = self._left_out, 0
        return data + self._encoded(_gap(left_out)) if left_out else data

    def _write(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[os.write(self._fd, rest[: select.PIPE_BUF]) :]
            except BlockingIOError:
                # Somebody else set the file to non-blocking mode; then this is where to wait.
                select.select([], [self._fd], [], FLUSH_TIMEOUT)
            except OSError:
                # The other end is gone, or the disk is full. There is nobody to tell; the server goes on.
                return


def _gap(count: int) -> logging.LogRecord:
    """Return the record that says how many are missing before it."""
    text = f"log-lines-left-out count={count}"
    record = logging.LogRecord("trioecho", logging.WARNING, __file__, 0, "%s", (text,), None)
    record.event, record.fields = "log-lines-left-out", {"count": count}
    return record
