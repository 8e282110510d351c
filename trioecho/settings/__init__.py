"""
What can be set: one file for each group of options, :class:`Settings` for all of them together.

A new group is a dataclass in a file of its own, and one more base of :class:`Settings`; a new option is a
field there, and a line in :class:`Options`. :mod:`trioecho.options` says what follows from a declaration.
"""

from trioecho.settings.access import Access, Algorithm
from trioecho.settings.compression import Compression
from trioecho.settings.fairness import Fairness, OverRate
from trioecho.settings.history import History
from trioecho.settings.lifetime import Lifetime
from trioecho.settings.limits import Limits
from trioecho.settings.listening import Listening
from trioecho.settings.relaying import Audience, Relaying
from trioecho.settings.settings import HUB_OPTIONS, HubOptions, Options, Settings
from trioecho.settings.sharing import Sharing, WhenEngineDown
from trioecho.settings.slow_clients import SlowClients, WhenSlow
from trioecho.settings.transport import Transport
from trioecho.settings.web import Web

__all__ = [
    "HUB_OPTIONS",
    "Access",
    "Algorithm",
    "Audience",
    "Compression",
    "Fairness",
    "History",
    "HubOptions",
    "Lifetime",
    "Limits",
    "Listening",
    "Options",
    "OverRate",
    "Relaying",
    "Settings",
    "Sharing",
    "SlowClients",
    "Transport",
    "Web",
    "WhenEngineDown",
    "WhenSlow",
]
