"""Standard input, record by record."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from trioecho.cli.errors import Failure
from trioecho.cli.stdio import STDIN, read_some

__all__ = ["records"]

MAX_RECORD = 64 * 1024 * 1024
"""The longest record that is sent (bytes); a longer one is an error, and nothing is cut."""


async def records(separator: bytes | None) -> AsyncGenerator[tuple[int, bytes], None]:
    """
    Read standard input in records, numbered from 1, without the separators; a last one without one counts.

    Without a separator, a record is whatever was there to be read, at most 64 KiB.

    Raises:
        Failure: a record is too long.

    """
    rest = bytearray()
    number = 0
    while chunk := await read_some(STDIN):
        if separator is None:
            number += 1
            yield number, chunk
            continue
        rest += chunk
        if separator in chunk:
            whole, _, tail = bytes(rest).rpartition(separator)
            rest = bytearray(tail)
            for record in whole.split(separator):
                number += 1
                yield number, record
        elif len(rest) > MAX_RECORD:
            raise Failure(f"record {number + 1} of standard input is longer than {MAX_RECORD} bytes")
    if rest:
        yield number + 1, bytes(rest)
