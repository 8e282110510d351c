"""Who gets what, in which order; no sockets."""
