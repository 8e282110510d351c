"""The commands that talk to a server: ``client``, ``listen`` and ``send``."""
