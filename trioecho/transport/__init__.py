"""A connection's streams, and where they come from."""
