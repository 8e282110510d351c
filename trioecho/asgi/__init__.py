"""
A hub as an ASGI application, for a site that runs on trio already: under Hypercorn, in Quart-Trio, Starlette.

It is slower than :func:`trioecho.serve`, which should be preferred where it can have a port of its own.
"""

from trioecho.asgi.app import HubApp

__all__ = ["HubApp"]
