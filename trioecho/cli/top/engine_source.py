"""The status of all servers that share an engine, asked through it."""

from __future__ import annotations

from trioecho.cli.top.source import Away
from trioecho.cli.top.words import seconds_text
from trioecho.engine.errors import EngineLost
from trioecho.engine.survey import Survey
from trioecho.web.status import Status, StatusError, parse_status, together

__all__ = ["EngineSource"]


class EngineSource:
    """
    All servers on the engine at ``url``.

    Raises:
        OptionError: the URL can't be.

    """

    def __init__(self, url: str, prefix: str) -> None:
        self._survey = Survey(url, prefix)
        self._prefix = prefix
        self._round_trip: float | None = None

    def __str__(self) -> str:
        trip = "" if self._round_trip is None else f"  round trip {seconds_text(self._round_trip)}"
        return f"engine {self._survey.host}{trip}"

    async def get(self) -> Status:
        """
        Return the status of all servers together.

        Raises:
            Away: the engine can't be asked, or no server is there.

        """
        self._round_trip = None
        try:
            found = await self._survey.ask()
        except EngineLost as lost:
            raise Away(str(lost)) from None
        self._round_trip = found.round_trip
        if not found.nodes:
            raise Away(
                f"no server answers there (none has --engine-prefix {self._prefix}, or all have --no-status)"
            )
        statuses = []
        for answer in found.answers:
            try:
                statuses.append(parse_status(answer))
            except StatusError:
                pass  # it counts as one that does not answer
        return together(statuses, missing=max(0, found.nodes - len(statuses)))

    async def aclose(self) -> None:
        """Close nothing: each time there is a connection of its own."""
