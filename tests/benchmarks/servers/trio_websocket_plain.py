"""trio-websocket as its documentation has it, a memory channel and send_message() a client: PORT [PEM]."""

import ssl
import sys
from collections import defaultdict

import trio
from trio_websocket import ConnectionClosed, serve_websocket

rooms = defaultdict(dict)


async def handle(request):
    """Relay what one client sends; a task of its own sends to it."""
    client = await request.accept()
    room = rooms[client.path]
    outgoing, pending = trio.open_memory_channel(1024)
    room[client] = outgoing

    async def write():
        async for message in pending:
            await client.send_message(message)

    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(write)
            try:
                while True:
                    message = await client.get_message()
                    for other, channel in list(room.items()):
                        if other is not client:
                            await channel.send(message)
            finally:
                nursery.cancel_scope.cancel()
    except* ConnectionClosed:
        pass
    finally:
        del room[client]


def main(port, pem=None):
    """Serve until killed."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER) if pem else None
    if context:
        context.load_cert_chain(pem)
    trio.run(serve_websocket, handle, "127.0.0.1", int(port), context)


main(*sys.argv[1:])
