"""
Rooms that span processes and machines: an engine of Redis or Valkey keeps a log of each room.

:func:`publisher` publishes into rooms without a server of one's own. It needs hiredis, which comes with
``trioecho[redis]``.
"""

from trioecho.engine.errors import EngineLost
from trioecho.engine.publisher import Publisher, publisher

__all__ = ["EngineLost", "Publisher", "publisher"]
