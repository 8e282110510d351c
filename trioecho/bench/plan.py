"""
What a run of the load generator is to do: every option, its unit and reason, checked once, here.

Imports nothing of the load generator; the option errors are the server's own, so the command line says them
in the same way.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

from trioecho.options import OptionError

__all__ = ["FRAME_ROOM", "Mode", "Plan"]

Mode = Literal["flood", "paced", "connect", "idle", "storm"]

MIN_SIZE = 16
"""A message carries its publisher's number and its own (14 bytes), so that nothing lost goes unseen."""

MAX_SIZE = 2**24
"""16 MiB: a larger message measures memory copies, not a relay."""

MAX_CONNECTIONS = 1_000_000
"""A message names its publisher in six digits."""

MAX_RING_BYTES = 2**26
"""64 MiB of messages prepared for one publisher: more would not fit beside the others in memory."""

STORM_LAG = 30.0
"""In a storm it goes on: a client may find messages waiting that came while its handshake took long."""

PACED_LAG = 5.0
"""A paced publisher stops sending to a server that is so many seconds behind; what is due stays due."""

FRAME_ROOM = 14
"""The longest header of a masked frame, in bytes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """
    One run. Sizes are bytes, times are seconds.

    Raises:
        OptionError: a value is out of its bounds, or contradicts another.

    """

    mode: Mode = "flood"
    """
    ``flood``: each publisher keeps ``window`` messages in flight, as fast as the slowest receiver takes them.
    ``paced``: each publisher sends at ``rate``, whatever the server does. ``connect``: nobody sends, and all
    leave once they are connected; ``idle``: they stay for ``duration``. ``storm``: paced, and after
    ``duration`` the subscribers are cut all at once and come back at once.
    """

    subscribers: int = 200
    """Connections that only listen, spread evenly over the rooms; in a storm they are those that are cut."""

    stayed: int = 100
    """In a storm, further connections that only listen, and stay."""

    publishers: int = 1
    """Connections that send, in each room; they hear the room's other publishers as well."""

    rooms: int = 1
    """With more than one, the rooms are the URL's path with /0, /1, ... put after it."""

    to: Literal["others", "everyone"] = "others"
    """Who should get a message; ``everyone`` is for servers that send a publisher its own messages too."""

    window: int = 64
    """Messages in flight for each publisher; the next goes when the oldest has reached the whole room."""

    rate: float = 50.0
    """Messages a second from each publisher, in paced mode and in a storm."""

    size: int = 128
    """Payload of a message."""

    text: bool = True
    """Text messages, otherwise binary."""

    duration: float = 5.0
    """How long is measured, after the warm-up."""

    warmup: float = 1.0
    """How long messages flow before anything is measured: interpreters and kernels need to get warm."""

    lines: str | None = None
    """The file whose lines the messages are made of; ``None``: they are noise."""

    stall: float = 5.0
    """A server that delivers nothing for so long, with messages in flight, has stalled: the run ends."""

    at_once: int = 100
    """
    Handshakes under way at one time: enough to keep a server busy, and less than any listener's backlog. In a
    storm all begin at once, whatever this says.
    """

    sources: tuple[str, ...] = ()
    """
    Addresses that the connections come from, in turn. Empty: the system's choice, or several addresses of
    loopback where one has too few ports.
    """

    resume: bool = False
    """Resume TLS sessions: each connection brings what the server gave to an earlier one."""

    pid: int | None = None
    """The server's process, if its CPU time and memory are to be reported."""

    def __post_init__(self) -> None:
        """Check every value, so that nothing further in has to."""
        if self.mode not in get_args(Mode):
            raise OptionError("mode", f"must be one of {', '.join(get_args(Mode))}, not {self.mode!r}")
        _whole("rooms", self.rooms, 1, MAX_CONNECTIONS)
        _whole("subscribers", self.subscribers, 0, MAX_CONNECTIONS)
        _whole("publishers", self.publishers, 1 if self.sends else 0, MAX_CONNECTIONS)
        if self.subscribers % self.rooms:
            raise OptionError("subscribers", f"must divide evenly over {self.rooms} rooms")
        if not 0 < self.connections <= MAX_CONNECTIONS:
            raise OptionError(
                "subscribers",
                f"and publishers make {self.connections} connections; 1 to {MAX_CONNECTIONS} can be",
            )
        _whole("at_once", self.at_once, 1, MAX_CONNECTIONS)
        if self.mode == "storm":
            _whole("subscribers", self.subscribers, 1, MAX_CONNECTIONS)
            _whole("stayed", self.stayed, 1, MAX_CONNECTIONS)
            if self.stayed % self.rooms:
                raise OptionError("stayed", f"must divide evenly over {self.rooms} rooms")
        if self.sends and self.receivers < 1:
            raise OptionError(
                "subscribers", "must be at least one a room when a lone publisher sends to others"
            )
        _whole("size", self.size, MIN_SIZE, MAX_SIZE)
        _whole("window", self.window, 1, 100_000)
        _number("rate", self.rate, 0.01, 1_000_000)
        _number("duration", self.duration, 0.1, 3_600)
        _number("warmup", self.warmup, 0, 3_600)
        _number("stall", self.stall, 0.1, 3_600)
        if self.ring * (self.size + FRAME_ROOM) > MAX_RING_BYTES:
            raise OptionError(
                "window" if self.mode == "flood" else "rate",
                f"needs {self.ring} messages of {self.size} bytes prepared, which is more than 64 MiB",
            )

    @property
    def connections(self) -> int:
        """How many connections the run makes."""
        stayed = self.stayed if self.mode == "storm" else 0
        return self.subscribers + stayed + (self.publishers * self.rooms if self.sends else 0)

    @property
    def sends(self) -> bool:
        """Whether anybody sends messages."""
        return self.mode not in ("connect", "idle")

    @property
    def receivers(self) -> int:
        """How many connections each message should reach."""
        return self.subscribers // self.rooms + self.publishers - (self.to == "others")

    @property
    def in_flight(self) -> int:
        """The most messages of one publisher that may be on their way."""
        lag = STORM_LAG if self.mode == "storm" else PACED_LAG
        return self.window if self.mode == "flood" else max(16, math.ceil(self.rate * lag))

    @property
    def ring(self) -> int:
        """
        How many different messages a publisher has; then they begin again.

        Four times what may be in flight, so that a message's number says without doubt whether it is early or
        late; and at least 32 KiB of them, so that a large read seldom meets the same message twice. Of lines
        four times the 32 KiB that a compressed message may refer back to.
        """
        return max(4 * self.in_flight, (2**15 if self.lines is None else 2**17) // (self.size + FRAME_ROOM))


def _whole(option: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise OptionError(option, f"must be a whole number from {low} to {high}, not {value}")


def _number(option: str, value: float, low: float, high: float) -> None:
    if not (math.isfinite(value) and low <= value <= high):
        raise OptionError(option, f"must be from {low:g} to {high:g}, not {value:g}")
