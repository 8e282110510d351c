"""Bytes at the doors of a running server and a running client; ``python -m tests.fuzz`` goes on for long."""
