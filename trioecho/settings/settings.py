"""All options of a server together, checked."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypedDict

from trioecho.options import OptionError
from trioecho.settings.access import Access, Algorithm
from trioecho.settings.lifetime import Lifetime
from trioecho.settings.limits import Limits
from trioecho.settings.relaying import Audience, Relaying
from trioecho.settings.slow_clients import SlowClients, WhenSlow
from trioecho.settings.transport import Transport
from trioecho.settings.web import Web

__all__ = ["Options", "Settings"]


@dataclass(frozen=True, kw_only=True)
class Settings(Relaying, Web, Access, Transport, SlowClients, Limits, Lifetime):
    """
    What a server allows and how it decides. Sizes are bytes, times are seconds.

    The bases are the groups of the help, in its order. A part of the server that needs one group can say so
    in its annotations, and is handed all of them.

    Raises:
        OptionError: a value is of the wrong type, out of its bounds, or contradicts another.

    """

    def __post_init__(self) -> None:
        """Check every value by itself, then those that depend on each other."""
        super().__post_init__()
        if self.max_pending_bytes < self.max_message_size:
            raise OptionError(
                "max_pending_bytes",
                f"must be at least max_message_size ({self.max_message_size}), not {self.max_pending_bytes}:"
                " a message that fits no outbox could reach nobody",
            )


class Options(TypedDict, total=False):
    """
    The fields of :class:`Settings` as keyword arguments, for ``**options: Unpack[Options]``.

    Type checkers cannot derive it from the dataclass, so it is written out; a test holds the two together.
    """

    to: Audience
    prefix: str
    subprotocols: tuple[str, ...]
    page: bool
    events: bool
    stats: bool
    health: bool
    metrics: bool
    public_url: str | None
    origin: tuple[str, ...]
    allowed_host: tuple[str, ...]
    token: Mapping[str, str] | Sequence[tuple[str, str]]
    token_file: str | os.PathLike[str] | None
    token_cookie: str | None
    allow_query_token: bool
    jwt_key_file: str | os.PathLike[str] | None
    jwt_algorithm: Algorithm | None
    jwt_jwks_file: str | os.PathLike[str] | None
    jwt_audience: str | None
    jwt_issuer: str | None
    jwt_leeway: float
    room: tuple[str, ...]
    tls_cert: str | None
    tls_key: str | None
    tls_client_ca: str | None
    trusted_proxy: tuple[str, ...]
    proxy_protocol: bool
    when_slow: WhenSlow
    max_pending_bytes: int
    stall_limit: float
    max_message_size: int
    max_connections: int
    max_rooms: int
    handshake_timeout: float
    ping_interval: float
    ping_timeout: float
    shutdown_timeout: float
