"""One client, from its handshake to its end."""
