"""nats-server (Debian's) over WebSocket: PORT [PEM]. It speaks NATS within the frames."""

import os
import sys
import tempfile

CONFIGURATION = """
listen: 127.0.0.1:-1
websocket {{ listen: "127.0.0.1:{port}", compression: false, {tls} }}
write_deadline: "60s"
"""


def main(port, pem=None):
    """Serve until killed."""
    folder = tempfile.mkdtemp(prefix="nats-")
    tls = f'tls {{ cert_file: "{pem}", key_file: "{pem}" }}' if pem else "no_tls: true"
    with open(f"{folder}/nats.conf", "w") as file:
        file.write(CONFIGURATION.format(port=port, tls=tls))
    os.execlp("nats-server", "nats-server", "-c", f"{folder}/nats.conf")


main(*sys.argv[1:])
