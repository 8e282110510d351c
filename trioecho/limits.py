"""
Every number and policy of a server: its name, unit, default and reason, checked once, here.

``serve()`` and the command line take the same names.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import Any, Literal, TypedDict, get_args

__all__ = ["Audience", "Limits", "OptionError", "Options", "WhenSlow"]

Audience = Literal["others", "everyone", "sender"]
WhenSlow = Literal["wait", "disconnect", "drop-oldest", "drop-newest"]

MIB, GIB = 2**20, 2**30

LONGEST_WAIT = 86_400.0
"""No deadline is longer than a day (seconds): a longer one is a slip of the pen, not a wish."""

MAX_PREFIX_BYTES = 1024
"""A prefix is copied into every text message, so it stays small (bytes of UTF-8)."""

MAX_ROOM_NAME_BYTES = 255
"""A room's name is kept and logged for as long as the room is there (bytes; a file name's limit)."""


BEARER_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]{1,1024}={0,2}")
"""What a bearer token may look like (RFC 6750, 2.1), and no longer than fits a request's head."""


class OptionError(ValueError):
    """
    An option has a value that cannot work.

    ``option`` is its name as an argument of ``serve()``; ``problem`` the rest of the sentence.
    """

    def __init__(self, option: str, problem: str) -> None:
        super().__init__(f"{option} {problem}")
        self.option = option
        self.problem = problem


class Options(TypedDict, total=False):
    """The options of a server as keyword arguments; :class:`Limits` says what each one means."""

    to: Audience
    prefix: str
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
    page: bool
    events: bool
    stats: bool
    health: bool
    metrics: bool
    publish_token: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """
    What a server allows and how it decides. Sizes are bytes, times are seconds.

    Raises:
        OptionError: a value is of the wrong type, out of its bounds, or contradicts another.

    """

    to: Audience = "others"
    """
    Who gets a message: the ``others`` in the room (a chat), ``everyone`` in it (the order the room
    agreed on is then the order the sender sees), or the ``sender`` alone (an echo server).
    """

    prefix: str = ""
    """Put before every text message that is relayed. Empty: messages pass verbatim."""

    when_slow: WhenSlow = "wait"
    """
    What happens when a client's pending bytes reach their bound: the room waits for it (publishers feel
    TCP backpressure; nothing is lost, and the stall limit ends the wait), the client is disconnected, or
    its oldest or newest pending messages are dropped and counted. Waiting is the default because it is
    the only policy that loses nothing for those who keep up a little late.
    """

    max_pending_bytes: int = 4 * MIB
    """
    The bound of one client's outbox, frame headers included. At least ``max_message_size``, because a
    message that fits no outbox could reach nobody. 4 MiB is a few seconds of a busy room.
    """

    stall_limit: float = 5.0
    """
    How long one client may hold its room, under ``wait``: counted from when its outbox was first full, and
    forgotten only when it has caught up, so a reader that trickles cannot hold a room for ever.
    """

    max_message_size: int = MIB
    """
    The largest message taken from a client, in bytes of payload; a larger one ends the client with close
    code 1009. 1 MiB is what most WebSocket servers use.
    """

    max_connections: int = 10_000
    """Connections at one time, those in their handshake included; one more is answered 503."""

    max_rooms: int = 1_000
    """Rooms at one time; a client who would open one more is answered 503."""

    handshake_timeout: float = 10.0
    """From the connection to the end of its request head; a client that dribbles is answered 408."""

    ping_interval: float = 20.0
    """A ping is sent this often; 0 turns pings off. 20 s keeps most proxies (60 s) from hanging up."""

    ping_timeout: float = 20.0
    """A client that gives no sign of life for so long after a ping is dead; 0 turns pings off."""

    shutdown_timeout: float = 10.0
    """How long a graceful shutdown may take; who has not answered by then is cut."""

    page: bool = True
    """Whether a browser that opens a room's address gets a page to watch and talk."""

    events: bool = True
    """Whether a room can be had as Server-Sent Events, by who accepts ``text/event-stream``."""

    stats: bool = True
    """Whether a room's stats can be had, by who accepts ``application/json``."""

    health: bool = True
    """Whether ``/healthz`` and ``/readyz`` tell those who watch over the process about it."""

    metrics: bool = True
    """Whether ``/metrics`` tells Prometheus what the server does."""

    publish_token: str | None = field(default=None, repr=False)
    """
    Who sends this as a bearer token may publish by POST; ``None``: nobody may. A machine that publishes is
    no member of the room and answers to nobody in it, so the server's owner decides who may.
    """

    def __post_init__(self) -> None:
        """Check every value, so that nothing further in has to."""
        _one_of("to", self.to, get_args(Audience))
        _one_of("when_slow", self.when_slow, get_args(WhenSlow))
        if not isinstance(self.prefix, str):
            raise OptionError("prefix", f"must be a str, not {type(self.prefix).__name__}")
        if len(self.prefix.encode(errors="replace")) > MAX_PREFIX_BYTES:
            raise OptionError("prefix", f"must be at most {MAX_PREFIX_BYTES} bytes of UTF-8")
        if not _encodable(self.prefix):
            raise OptionError("prefix", "must be text that UTF-8 can encode")
        _whole("max_message_size", self.max_message_size, 1, GIB)
        _whole("max_pending_bytes", self.max_pending_bytes, 1, 64 * GIB)
        if self.max_pending_bytes < self.max_message_size:
            raise OptionError(
                "max_pending_bytes",
                f"must be at least max_message_size ({self.max_message_size}), not {self.max_pending_bytes}:"
                " a message that fits no outbox could reach nobody",
            )
        _whole("max_connections", self.max_connections, 1, 10_000_000)
        _whole("max_rooms", self.max_rooms, 1, 10_000_000)
        _seconds("stall_limit", self.stall_limit, 0.01)
        _seconds("handshake_timeout", self.handshake_timeout, 0.01)
        _seconds("ping_interval", self.ping_interval, 0.01, off=True)
        _seconds("ping_timeout", self.ping_timeout, 0.01, off=True)
        _seconds("shutdown_timeout", self.shutdown_timeout, 0.0)
        for option in ("page", "events", "stats", "health", "metrics"):
            if not isinstance(getattr(self, option), bool):
                raise OptionError(option, f"must be True or False, not {getattr(self, option)!r}")
        _token("publish_token", self.publish_token)

    @property
    def pings(self) -> bool:
        """Whether keepalive pings are sent."""
        return bool(self.ping_interval and self.ping_timeout)


def _one_of(option: str, value: Any, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise OptionError(option, f"must be one of {', '.join(choices)}, not {value!r}")


def _whole(option: str, value: Any, low: int, high: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise OptionError(option, f"must be a whole number from {low} to {high}, not {value!r}")


def _seconds(option: str, value: Any, low: float, *, off: bool = False) -> None:
    if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value):
        if low <= value <= LONGEST_WAIT or (off and value == 0):
            return
    zero = "0 (off) or " if off else ""
    raise OptionError(option, f"must be {zero}seconds from {low:g} to {LONGEST_WAIT:g}, not {value!r}")


def _token(option: str, value: Any) -> None:
    if value is None:
        return
    if not isinstance(value, str) or BEARER_TOKEN.fullmatch(value) is None:
        # Without the value: it is a secret, even if it can't be one.
        raise OptionError(option, "must be letters, digits and any of -._~+/, then = if need be")


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
