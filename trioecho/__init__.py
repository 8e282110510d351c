"""A WebSocket broadcast server on trio: what one client sends, every other client in its room gets."""

__version__ = "0.1.0"
