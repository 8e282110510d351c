"""Options for how much one client, or one address, may do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from trioecho.option_kinds import Choice, RateOf, Whole
from trioecho.options import Group
from trioecho.rates import Rate

__all__ = ["Fairness", "OverRate"]

OverRate = Literal["slow", "disconnect"]


@dataclass(frozen=True, kw_only=True)
class Fairness(Group):
    """What one client may do."""

    title: ClassVar[str] = "What one client may do"

    rate: Annotated[
        Rate | str | None,
        RateOf("Messages a client may send in a time, and at once: 20/s, 100/m or 20/s:40."),
    ] = None
    """
    Messages that one WebSocket client may send: ``20/s``, ``100/m``, or with a burst of its own ``20/s:40``.
    ``None``: any number. Without a burst, as many as in the time given may come at once.
    """

    rate_bytes: Annotated[
        Rate | str | None,
        RateOf("Bytes of messages a client may send in a time: 256KiB/s or 256KiB/s:1MiB.", sizes=True),
    ] = None
    """Bytes of messages that one WebSocket client may send, frame headers included. ``None``: any number."""

    over_rate: Annotated[
        OverRate,
        Choice(
            "What happens to a client that is over its rate. slow: it is read no faster than that, and"
            " loses nothing; disconnect: it is disconnected.",
            "POLICY",
            of=OverRate,
        ),
    ] = "slow"
    """
    What happens over the rate: the client is not read from until it may go on (it feels TCP backpressure,
    nothing is lost, and the keepalive does not take it for dead), or it is disconnected with 1008.
    """

    max_connections_per_address: Annotated[
        int, Whole("Connections one address may have at one time; 0: any number.", low=0)
    ] = 0
    """
    Connections one address may have at one time; one more is answered 429. An IPv6 address counts by its
    first 64 bits; Unix sockets are not limited. 0: any number.
    """

    connection_rate_per_address: Annotated[
        Rate | str | None, RateOf("New connections an address may make in a time: 10/s or 10/s:50.")
    ] = None
    """New connections one address may make, as ``10/s:50``; more are answered 429. ``None``: any number."""

    room_rate_per_address: Annotated[
        Rate | str | None, RateOf("New rooms an address may open in a time: 5/s or 5/s:50.")
    ] = None
    """
    Rooms that did not exist before that one address may open by coming into them, as ``5/s:50``; more are
    answered 429. ``None``: any number, up to ``max_rooms`` at one time.
    """

    room_rate_per_name: Annotated[
        Rate | str | None,
        RateOf("New rooms that clients of one name may open in a time, whatever their addresses: 5/s."),
    ] = None
    """
    Rooms that did not exist before that all clients with one name (an identity's) may open together, wherever
    they come from; more are answered 429. ``None``: any number, up to ``max_rooms`` at one time.
    """

    @property
    def paced(self) -> bool:
        """Whether clients are held to a rate."""
        return self.rate is not None or self.rate_bytes is not None
