"""The websockets library on asyncio, with broadcast(): PORT [PEM] [uvloop] [deflate]. Heeds PING_INTERVAL."""

import asyncio
import os
import ssl
import sys
from collections import defaultdict

from websockets.asyncio.server import broadcast, serve
from websockets.exceptions import ConnectionClosed

rooms = defaultdict(set)


async def handle(client):
    """Relay what one client sends."""
    room = rooms[client.request.path]
    room.add(client)
    try:
        async for message in client:
            broadcast(room - {client}, message)
    except ConnectionClosed:
        pass
    finally:
        room.discard(client)


async def main(port, pem=None):
    """Serve until killed."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER) if pem else None
    if context:
        context.load_cert_chain(pem)
    options = {"ssl": context, "compression": compression, "backlog": 4096, "ping_interval": interval}
    async with serve(handle, "127.0.0.1", port, **options):
        await asyncio.Future()


arguments = [argument for argument in sys.argv[1:] if argument not in ("uvloop", "deflate")]
interval = float(os.environ.get("PING_INTERVAL", "20"))
compression = "deflate" if "deflate" in sys.argv else None
if "uvloop" in sys.argv:
    import uvloop

    uvloop.run(main(int(arguments[0]), *arguments[1:]))
else:
    asyncio.run(main(int(arguments[0]), *arguments[1:]))
