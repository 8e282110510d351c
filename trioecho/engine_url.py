"""
Where an engine is: a URL that names a Redis or Valkey server, or several.

``redis://host:6379/0``, with TLS ``rediss://host/0``, over a Unix socket ``unix:/run/redis.sock``. Before
the host may stand ``user:password@`` or ``:password@``; several hosts are separated by commas. With
``redis+sentinel://host,host2/name/0`` the hosts are sentinels, which know where the primary of this name is.

It may hold a password, so nothing here repeats it: no error, and no value when it is printed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote

from trioecho.option_kinds import Secret
from trioecho.options import OptionError

__all__ = ["EngineAddress", "EngineOption", "Host", "needing_hiredis", "parse_engine_url"]

PORT, SENTINEL_PORT = 6379, 26379
"""Where Redis and Valkey listen, and where their sentinels do."""

SENTINEL = "+sentinel"
"""What a scheme ends with if the hosts are sentinels."""

ASKED = ("db", "ca", "cert", "key", "sentinel_user", "sentinel_password")
"""What may stand in its query."""

MOST_DATABASES = 10_000

EXAMPLE = "for example redis://localhost:6379/0"


@dataclass(frozen=True, slots=True)
class Host:
    """One server: a host and a port, or the path of a Unix socket."""

    name: str
    port: int = 0

    def __str__(self) -> str:
        """As a log shows it."""
        if not self.port:
            return f"unix:{self.name}"
        return f"[{self.name}]:{self.port}" if ":" in self.name else f"{self.name}:{self.port}"


@dataclass(frozen=True, slots=True)
class EngineAddress:
    """
    What a URL says.

    Attributes:
        hosts: the servers, one of which is the primary; with ``primary``, the sentinels.
        tls: whether connections are encrypted.
        ca: a file of certificates to trust instead of the system's; ``None``: the system's.
        cert, key: files of the certificate to show the engine, and of its private key; without ``key`` it
            stands in ``cert``.
        database: the number of the database.
        user, password: what the engine asks for; never shown.
        primary: the name by which sentinels know the primary and its replicas; ``None``: there are none.
        sentinel_user, sentinel_password: what the sentinels ask for; never shown.

    """

    hosts: tuple[Host, ...]
    tls: bool = False
    ca: str | None = None
    cert: str | None = None
    key: str | None = None
    database: int = 0
    user: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    primary: str | None = None
    sentinel_user: str | None = field(default=None, repr=False)
    sentinel_password: str | None = field(default=None, repr=False)


def parse_engine_url(url: str, option: str = "engine") -> EngineAddress:
    """
    Parse the URL of an engine.

    Raises:
        OptionError: it is none; the sentence, about ``option``, holds nothing of it that could be secret.

    """
    if not isinstance(url, str):
        raise OptionError(option, f"must be a URL, {EXAMPLE}, not of type {type(url).__name__}")
    scheme, colon, rest = url.partition(":")
    if not colon or (scheme.removesuffix(SENTINEL) not in ("redis", "rediss") and scheme != "unix"):
        known = "redis://, rediss://, redis+sentinel:// or unix:"
        raise OptionError(option, f"must begin with {known}, {EXAMPLE}")
    if any(not character.isprintable() or character.isspace() for character in url):
        raise OptionError(option, "has a space or a character that can't be printed in it: write it as %20")
    if "%00" in rest:
        raise OptionError(option, "has %00 in it, which no file, name or password can have")
    if "#" in rest:
        raise OptionError(option, "has a # in it: write it as %23")
    rest, _, query = rest.partition("?")
    asked = _query(query, option)
    if scheme == "unix":
        return _unix(rest, asked, option)
    if not rest.startswith("//"):
        raise OptionError(option, f"must have // after {scheme}:, {EXAMPLE}")
    where, _, path = rest[2:].partition("/")
    credentials, at, hosts = where.rpartition("@")
    user, password = _credentials(credentials, option) if at else (None, None)
    tls, sentinels, primary = scheme.startswith("rediss"), scheme.endswith(SENTINEL), None
    if sentinels:
        primary, _, path = path.partition("/")
        if not primary:
            raise OptionError(
                option,
                "must name the primary after the sentinels, for example redis+sentinel://host1,host2/mymaster/0",
            )
    if "db" in asked and path:
        raise OptionError(option, "names its database twice: in its path and as ?db=")
    _check_query(asked, option, tls=tls, sentinels=sentinels)
    return EngineAddress(
        tuple([_host(host, option, SENTINEL_PORT if sentinels else PORT) for host in hosts.split(",")]),
        tls=tls,
        ca=asked.get("ca"),
        cert=asked.get("cert"),
        key=asked.get("key"),
        database=_database(path or asked.get("db", "0"), option),
        user=user,
        password=password,
        primary=None if primary is None else unquote(primary),
        sentinel_user=asked.get("sentinel_user"),
        sentinel_password=asked.get("sentinel_password"),
    )


def _check_query(asked: Mapping[str, str], option: str, *, tls: bool, sentinels: bool) -> None:
    for name in ("ca", "cert", "key"):
        if name in asked and not tls:
            raise OptionError(option, f"says ?{name}= without TLS: it must begin with rediss then")
    if "key" in asked and "cert" not in asked:
        raise OptionError(option, "says ?key= without ?cert=: the certificate that the key is of")
    for name in ("sentinel_user", "sentinel_password"):
        if name in asked and not sentinels:
            raise OptionError(
                option, f"says ?{name}= without sentinels: it must begin with redis+sentinel://"
            )
    if "sentinel_user" in asked and "sentinel_password" not in asked:
        raise OptionError(option, "says ?sentinel_user= without ?sentinel_password=")


def _unix(rest: str, asked: Mapping[str, str], option: str) -> EngineAddress:
    user = password = None
    if rest.startswith("//"):
        credentials, at, path = rest[2:].partition("@")
        if at:
            user, password = _credentials(credentials, option)
        else:
            path = credentials
    else:
        path = rest
    if not path.startswith("/"):
        raise OptionError(option, "must name the whole path of a socket, for example unix:/run/redis.sock")
    if asked.keys() - {"db"}:
        raise OptionError(option, "can have only ?db=NUMBER after a Unix socket, which needs no TLS")
    database = _database(asked.get("db", "0"), option)
    return EngineAddress((Host(unquote(path)),), database=database, user=user, password=password)


def _query(query: str, option: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in parse_qsl(query.replace("+", "%2B"), keep_blank_values=True):
        if name not in ASKED or name in found:
            raise OptionError(option, f"can have {', '.join(ASKED)} after its ?, each once, and nothing else")
        found[name] = value
    return found


def _credentials(text: str, option: str) -> tuple[str | None, str]:
    user, colon, password = text.partition(":")
    if not colon or not password:
        raise OptionError(option, "must have a user and a password before its @, as in user:password@host")
    return unquote(user) or None, unquote(password)


def _host(text: str, option: str, usual: int) -> Host:
    if text.startswith("["):
        name, bracket, rest = text[1:].partition("]")
        right = bool(bracket) and (not rest or rest.startswith(":"))
        port = rest[1:]
    else:
        name, _, port = text.partition(":")
        right = ":" not in port and "@" not in name
    if not right or not name:
        raise OptionError(option, f"must name a host, or several with commas between them, {EXAMPLE}")
    if port and not (port.isascii() and port.isdigit() and 0 < int(port) < 65_536):
        raise OptionError(option, "has a port that is no number from 1 to 65535")
    return Host(name, int(port or usual))


def _database(text: str, option: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 6 and int(text) < MOST_DATABASES):
        raise OptionError(option, f"must name its database by a number after the host, {EXAMPLE}")
    return int(text)


@dataclass(frozen=True)
class EngineOption(Secret):
    """The URL of an engine, or ``None``; on the command line it can be read from a file, too."""

    metavar: str = "URL"

    def check(self, name: str, value: Any) -> str | None:
        """Take a URL that can be parsed; the message never repeats it."""
        if value is not None:
            parse_engine_url(value, name)
        return None if value is None else str(value)


@contextmanager
def needing_hiredis() -> Iterator[None]:
    """
    Import in this block what talks to an engine.

    Raises:
        OptionError: hiredis is not installed, which comes with an extra.

    """
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name != "hiredis":
            raise
        raise OptionError("engine", "needs hiredis: pip install 'trioecho[redis]'") from None
