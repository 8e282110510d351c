"""The picows library (Cython) on uvloop: PORT [PEM]."""

import asyncio
import ssl
import sys
from collections import defaultdict

import uvloop
from picows import WSListener, WSMsgType, ws_create_server

rooms = defaultdict(set)


class Client(WSListener):
    """One client."""

    def __init__(self, path):
        super().__init__()
        self.room = rooms[path]

    def on_ws_connected(self, transport):
        """Enter the room."""
        self.room.add(transport)

    def on_ws_frame(self, transport, frame):
        """Relay what the client sends."""
        if frame.msg_type == WSMsgType.CLOSE:
            transport.send_close(frame.get_close_code(), frame.get_close_message())
            transport.disconnect()
            return
        payload, kind = frame.get_payload_as_bytes(), frame.msg_type
        for other in self.room:
            if other is not transport:
                other.send(kind, payload)

    def on_ws_disconnected(self, transport):
        """Leave the room."""
        self.room.discard(transport)


async def main(port, pem=None):
    """Serve until killed."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER) if pem else None
    if context:
        context.load_cert_chain(pem)
    server = await ws_create_server(
        lambda request: Client(request.path), "127.0.0.1", int(port), ssl=context, backlog=4096
    )
    await server.serve_forever()
    await asyncio.Future()


uvloop.run(main(*sys.argv[1:]))
