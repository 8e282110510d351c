"""The websockets library on trio, with its broadcast(): PORT [PEM]."""

import ssl
import sys
from collections import defaultdict
from functools import partial

import trio
from websockets.exceptions import ConnectionClosed
from websockets.trio.connection import broadcast
from websockets.trio.server import serve

rooms = defaultdict(set)


async def handle(client):
    """Relay what one client sends."""
    room = rooms[client.request.path]
    room.add(client)
    try:
        async for message in client:
            await broadcast(room - {client}, message)
    except ConnectionClosed:
        pass
    finally:
        room.discard(client)


def main(port, pem=None):
    """Serve until killed."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER) if pem else None
    if context:
        context.load_cert_chain(pem)
    trio.run(partial(serve, handle, int(port), host="127.0.0.1", ssl=context, compression=None, backlog=4096))


main(*sys.argv[1:])
