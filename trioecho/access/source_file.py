"""A file that an option names: read whole, up to a bound, with one sentence for whatever is wrong with it."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from trioecho.options import OptionError
from trioecho.system_errors import reason_of

__all__ = ["SourceFile"]


class SourceFile:
    """
    A file of tokens or keys.

    Reading it is an ordinary blocking read, of a small file, when the server starts and when it is told to
    read again.

    Attributes:
        option: the option that names it, for errors.
        path: where it is.
        readable_by_all: whether everybody on the machine could read it when it was last read.

    """

    def __init__(self, option: str, path: str | os.PathLike[str], max_bytes: int) -> None:
        self.option = option
        self.path = Path(path)
        self.readable_by_all = False
        self._max_bytes = max_bytes
        self._read_as: tuple[int, ...] | None = None

    def read(self) -> bytes:
        """
        Read all of it.

        Raises:
            OptionError: it is no file, can't be read, or is larger than its bound.

        """
        if "\0" in str(self.path):
            raise self.error("can be no file's name: it has a zero byte in it")
        try:
            with open(self.path, "rb", opener=_without_waiting) as file:
                status = os.fstat(file.fileno())
                ordinary = stat.S_ISREG(status.st_mode)
                content = file.read(self._max_bytes + 1) if ordinary else b""
        except OSError as error:
            raise self.error(f"cannot be read: {reason_of(error)}") from None
        if not ordinary:
            raise self.error("is not an ordinary file")
        if len(content) > self._max_bytes:
            raise self.error(f"is larger than {self._max_bytes} bytes")
        self._read_as = _identity(status)
        self.readable_by_all = bool(status.st_mode & stat.S_IROTH)
        return content

    def changed(self) -> bool:
        """Whether it is another file, or has another content, than when it was last read."""
        try:
            return _identity(os.stat(self.path)) != self._read_as
        except OSError:
            return False  # Gone, or being replaced: what was read still holds.

    def error(self, problem: str, line: int | None = None) -> OptionError:
        """Make an error about the file, or a line of it (from 1); ``problem`` is the rest of the sentence."""
        where = f"{self.path}" if line is None else f"{self.path}, line {line},"
        return OptionError(self.option, f"{where} {problem}")


def _without_waiting(path: str, flags: int) -> int:
    """Open a file; a pipe would otherwise wait until somebody writes to it."""
    return os.open(path, flags | os.O_NONBLOCK)


def _identity(status: os.stat_result) -> tuple[int, ...]:
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
