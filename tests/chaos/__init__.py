"""Hundreds of clients that do everything wrong, and loyal ones among them; ``python -m tests.chaos``."""
