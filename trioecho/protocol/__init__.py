"""Bytes in and out, without I/O: nothing here awaits."""
