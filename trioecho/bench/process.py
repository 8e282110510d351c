"""What a process has used so far: CPU time and memory, as Linux tells in /proc."""

from __future__ import annotations

import os
from pathlib import Path

from trioecho.system_errors import reason_of

__all__ = ["ProcessError", "cpu_seconds", "resident_bytes"]

USER_TIME, SYSTEM_TIME = 11, 12
"""Places in /proc/PID/stat behind the command's name (proc(5): fields 14 and 15)."""


class ProcessError(Exception):
    """The process cannot be looked at; the text is one sentence that says why."""


def cpu_seconds(pid: int) -> float:
    """
    User and system time of a process with all its threads, those that have ended included.

    Raises:
        ProcessError: there is no such process, or no /proc.

    """
    # The command's name stands in brackets and may contain anything, brackets too.
    fields = _read(pid, "stat").rpartition(")")[2].split()
    return (int(fields[USER_TIME]) + int(fields[SYSTEM_TIME])) / os.sysconf("SC_CLK_TCK")


def resident_bytes(pid: int) -> int:
    """
    Memory of a process that is in RAM, without the kernel's own buffers for its sockets.

    Raises:
        ProcessError: there is no such process, or no /proc.

    """
    return int(_read(pid, "statm").split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _read(pid: int, name: str) -> str:
    try:
        return Path(f"/proc/{pid}/{name}").read_text()
    except OSError as error:
        raise ProcessError(f"process {pid} cannot be looked at: {reason_of(error)}") from error
