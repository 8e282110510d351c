"""
The socketify library (uWebSockets, C++), with publish(): PORT [PEM].

Its publish() sends to the sender as well, and there is no other.
"""

import sys

from socketify import App, AppListenOptions, AppOptions, OpCode

rooms = {}


def upgrade(response, request, context):
    """Take the connection; the path is its room."""
    response.upgrade(
        request.get_header("sec-websocket-key"),
        request.get_header("sec-websocket-protocol"),
        request.get_header("sec-websocket-extensions"),
        context,
        request.get_url(),
    )


def opened(client):
    """Enter the room."""
    client.subscribe(client.get_user_data())


def message(client, payload, opcode):
    """Relay what the client sends."""
    client.publish(client.get_user_data(), payload, opcode if opcode else OpCode.TEXT)


def main(port, pem=None):
    """Serve until killed."""
    app = App(AppOptions(key_file_name=pem, cert_file_name=pem) if pem else None)
    app.ws(
        "/*",
        {
            "max_payload_length": 2**24,
            "max_backpressure": 2**30,
            "idle_timeout": 960,
            "upgrade": upgrade,
            "open": opened,
            "message": message,
        },
    )
    app.listen(AppListenOptions(port=int(port), host="127.0.0.1"), lambda config: None)
    app.run()


main(*sys.argv[1:])
