"""
Who may come in by which token, and what each may do.

A token file has a line for each, its fields set apart by spaces: a name, the token or ``sha256:`` and the
hexadecimal SHA-256 of it, then ``rooms=`` and ``rights=`` if they are not all::

    # name    token                    what it may do
    ada       9f3c2a7e51d04b68a1c5     rooms=/news,/team/**
    sensor-7  sha256:5a6f...           rights=publish rooms=/sensors/7

Only the digests are kept. A token is looked up by its digest, in a dict: how long that takes depends on the
digest, of which who guesses tokens can foresee the bytes but not choose them (they would need a token for a
digest that they want), so the time tells nothing about how much of a guess was right. A digest is as good as
a token only if the token can be guessed; so tokens should be long and random.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Mapping

from trioecho.access.identity import Identity
from trioecho.access.source_file import SourceFile
from trioecho.option_kinds import BEARER_TOKEN
from trioecho.options import OptionError

__all__ = ["TokenTable", "parse_token"]

MAX_FILE_BYTES = 4 * 2**20
"""A token file's bound: some fifty thousand lines."""

SHORT = 16
"""A token of fewer characters is warned of: 16 random ones of base 64 are 96 bits."""

SHA256 = re.compile(r"sha256:([0-9a-fA-F]{64})")
NAME = re.compile(r"[^\s=#][^\s=]*")
RIGHTS = {"publish", "subscribe"}

Entry = tuple[bytes, Identity]


class _Problem(ValueError):
    """What is wrong with an entry, as the rest of a sentence. Never holds a field: any may be the token."""


def parse_token(text: str) -> tuple[str, str]:
    """
    Take ``NAME=VALUE`` apart.

    Raises:
        OptionError: there is no equals sign in it; the sentence does not repeat it.

    """
    name, separator, value = text.partition("=")
    if not separator:
        raise OptionError("token", "must be NAME=VALUE, as in ada=9f3c2a7e51d04b68a1c5")
    return name, value


class TokenTable:
    """
    The tokens that are known, by their digests.

    Args:
        tokens: tokens (or ``sha256:`` and the digest) by the names of who has them; they have every right.
        path: a token file, or ``None``.

    Attributes:
        warnings: sentences about what works but should not stay so: a file that everybody on the machine
            can read, a token that is short.

    Raises:
        OptionError: a name or token can't be one or is there twice, or the file can't be read or has a
            line that is wrong; the sentence says which line, and never holds a token.

    """

    def __init__(
        self,
        tokens: Mapping[str, str] | Iterable[tuple[str, str]] = (),
        path: str | os.PathLike[str] | None = None,
    ) -> None:
        self._given: list[Entry] = []
        self._short: list[str] = []
        pairs = tokens.items() if isinstance(tokens, Mapping) else tokens
        for number, (name, value) in enumerate(pairs, 1):
            try:
                digest, short = _digest(value)
                self._given.append((digest, Identity(_name(name))))
            except _Problem as problem:
                raise OptionError("token", f"number {number} {problem}") from None
            if short:
                self._short.append(f"token number {number}")
        self._file = None if path is None else SourceFile("token_file", path, MAX_FILE_BYTES)
        self.warnings: tuple[str, ...] = ()
        self._by_digest: dict[bytes, Identity] = {}
        self.reload()

    def __repr__(self) -> str:
        """How many there are; nothing of what they are."""
        return f"<TokenTable of {len(self._by_digest)}>"

    def find(self, token: str) -> Identity | None:
        """Return who has a token, or ``None``."""
        return self._by_digest.get(hashlib.sha256(token.encode(errors="replace")).digest())

    def reload(self) -> None:
        """
        Read the file again, and let the new table take the place of the old as a whole.

        Raises:
            OptionError: the file can't be read or is wrong. The old table stays.

        """
        table: dict[bytes, Identity] = {}
        names: set[str | None] = set()
        for number, entry in enumerate(self._given, 1):
            try:
                _add(table, names, entry)
            except _Problem as problem:
                raise OptionError("token", f"number {number} {problem}") from None
        warnings = [f"{which} is shorter than {SHORT} characters and can be guessed" for which in self._short]
        if self._file is not None:
            warnings += self._read(self._file, table, names)
        self._by_digest, self.warnings = table, tuple(warnings)

    @staticmethod
    def _read(file: SourceFile, table: dict[bytes, Identity], names: set[str | None]) -> list[str]:
        """Add what a file holds; return what to warn of."""
        warnings: list[str] = []
        try:
            text = file.read().decode("utf-8-sig")
        except UnicodeDecodeError:
            raise file.error("is not text in UTF-8") from None
        before = len(table)
        for number, line in enumerate(text.split("\n"), 1):
            # A # inside a field is part of it; one that begins a field begins a comment.
            fields = re.sub(r"(?:^|(?<=\s))#.*", "", line).split()
            if not fields:
                continue
            try:
                entry, short = _parse(fields)
                _add(table, names, entry)
            except _Problem as problem:
                raise file.error(str(problem), number) from None
            if short:
                where = f"{file.path}, line {number}"
                warnings.append(f"{where}: the token is shorter than {SHORT} characters and can be guessed")
        if len(table) == before:
            raise file.error("has no tokens in it: a line is a name, a token, and what it may do")
        if file.readable_by_all:
            warnings.append(f"{file.path} can be read by everybody on this machine: chmod o-r {file.path}")
        return warnings


def _add(table: dict[bytes, Identity], names: set[str | None], entry: Entry) -> None:
    digest, identity = entry
    if identity.name in names:
        raise _Problem("has a name that is there already: each has one token")
    if digest in table:
        raise _Problem("has a token that is there already: each has its own")
    names.add(identity.name)
    table[digest] = identity


def _parse(fields: list[str]) -> tuple[Entry, bool]:
    """Make an entry of a line's fields, and tell whether its token is short."""
    if len(fields) < 2:
        raise _Problem("must have a name and a token, set apart by a space")
    digest, short = _digest(fields[1])
    rooms: list[str] | None = None
    rights: set[str] | None = None
    for field in fields[2:]:
        key, separator, value = field.partition("=")
        if key == "rooms" and separator and rooms is None:
            rooms = value.split(",")
        elif key == "rights" and separator and rights is None:
            rights = set(value.split(","))
            if not rights <= RIGHTS:
                raise _Problem("may have rights=publish, rights=subscribe or rights=publish,subscribe")
        else:
            raise _Problem("may have only rooms= and rights= behind the token, each once and without spaces")
    rights = RIGHTS if rights is None else rights
    try:
        identity = Identity(
            _name(fields[0]),
            publish="publish" in rights,
            subscribe="subscribe" in rights,
            rooms=["/**"] if rooms is None else rooms,
        )
    except OptionError as error:
        raise _Problem(f"is wrong: {error}") from None
    return (digest, identity), short


def _name(name: str) -> str:
    if not isinstance(name, str) or NAME.fullmatch(name) is None or not name.isprintable():
        raise _Problem("must have a name without spaces and equals signs that does not begin with #")
    if len(name.encode()) > 255:
        raise _Problem("must have a name of at most 255 bytes")
    return name


def _digest(token: str) -> tuple[bytes, bool]:
    """Return a token's digest, and whether the token is short."""
    if not isinstance(token, str):
        raise _Problem("must have a token that is text")
    if found := SHA256.fullmatch(token):
        return bytes.fromhex(found[1]), False
    if token.lower().startswith("sha256:"):
        raise _Problem("must have 64 hexadecimal digits behind sha256:")
    if BEARER_TOKEN.fullmatch(token) is None:
        raise _Problem("must have a token of at most 1024 letters, digits and -._~+/, then = if need be")
    return hashlib.sha256(token.encode()).digest(), len(token) < SHORT
