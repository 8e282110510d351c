"""All options of a server together, checked."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypedDict

from trioecho.options import OptionError
from trioecho.rates import Rate
from trioecho.settings.access import Access, Algorithm
from trioecho.settings.compression import Compression
from trioecho.settings.fairness import Fairness, OverRate
from trioecho.settings.history import History
from trioecho.settings.lifetime import Lifetime
from trioecho.settings.limits import Limits
from trioecho.settings.relaying import Audience, Relaying
from trioecho.settings.sharing import Order, Sharing, WhenEngineDown
from trioecho.settings.slow_clients import SlowClients, WhenSlow
from trioecho.settings.transport import Transport
from trioecho.settings.web import Web

__all__ = ["HUB_OPTIONS", "HubOptions", "Options", "Settings"]


@dataclass(frozen=True, kw_only=True)
class Settings(
    Relaying, History, Sharing, Web, Access, Transport, SlowClients, Compression, Limits, Fairness, Lifetime
):
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
                mentions=["max_message_size"],
            )
        if 0 < self.max_memory < self.max_message_size:
            raise OptionError(
                "max_memory",
                f"must be at least max_message_size ({self.max_message_size}), not {self.max_memory}:"
                " a message that large could never be taken",
                mentions=["max_message_size"],
            )


class HubOptions(TypedDict, total=False):
    """
    Those fields of :class:`Settings` that are about rooms, whoever comes into them.

    All servers of one hub share them, so they are arguments of ``open_hub()`` if a hub is shared.
    """

    to: Audience
    history: int
    history_bytes: int
    history_age: float
    history_total: int
    engine: str | None
    engine_prefix: str
    order: Order
    engine_patience: float
    when_engine_down: WhenEngineDown
    presence: bool
    when_slow: WhenSlow
    max_pending_bytes: int
    stall_limit: float
    stall_share: float
    compress_level: int
    compress_min: int
    max_message_size: int
    max_memory: int
    max_rooms: int


class Options(HubOptions, total=False):
    """
    The fields of :class:`Settings` as keyword arguments, for ``**options: Unpack[Options]``.

    Type checkers cannot derive it from the dataclass, so it is written out; a test holds the two together.
    """

    prefix: str
    subprotocols: tuple[str, ...]
    page: bool
    events: bool
    stats: bool
    health: bool
    metrics: bool
    status: bool
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
    tell_missed: str | None
    compress: bool
    no_compress_room: tuple[str, ...]
    max_connections: int
    message_timeout: float
    handshake_timeout: float
    rate: Rate | str | None
    rate_bytes: Rate | str | None
    over_rate: OverRate
    max_connections_per_address: int
    connection_rate_per_address: Rate | str | None
    room_rate_per_address: Rate | str | None
    room_rate_per_name: Rate | str | None
    ping_interval: float
    ping_timeout: float
    shutdown_timeout: float
    drain: float


HUB_OPTIONS = frozenset(HubOptions.__annotations__)
"""The names of the options that a hub decides."""
