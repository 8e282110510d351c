"""Several server processes on one machine, which share their rooms and their addresses: ``--workers``."""
