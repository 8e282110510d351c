"""
What tests of an application need: a server and its clients in memory, without ports, under trio's clock.

:func:`open_server` runs a server. Its ``connect()`` gives a client that reads all the time,
``connect_slow()`` and ``connect_stuck()`` ones that do not, and every client can vanish. :func:`run` runs a
test in virtual time without pytest. With pytest, the fixture ``trioecho_server`` is :func:`open_server`, and
:data:`OpenServer` its type.
"""

from trioecho.testing.client import Closed, MemoryClient
from trioecho.testing.listener import MemoryListener
from trioecho.testing.server import Answer, MemoryServer, NotLetIn, OpenServer, open_server, run

__all__ = [
    "Answer",
    "Closed",
    "MemoryClient",
    "MemoryListener",
    "MemoryServer",
    "NotLetIn",
    "OpenServer",
    "open_server",
    "run",
]
