"""The aiohttp web server on asyncio: PORT [PEM]."""

import ssl
import sys
from collections import defaultdict

from aiohttp import WSMsgType, web

rooms = defaultdict(set)


async def handle(request):
    """Relay what one client sends."""
    client = web.WebSocketResponse(compress=False)
    await client.prepare(request)
    room = rooms[request.path]
    room.add(client)
    try:
        async for message in client:
            if message.type is WSMsgType.TEXT:
                for other in list(room):
                    if other is not client:
                        await other.send_str(message.data)
            elif message.type is WSMsgType.BINARY:
                for other in list(room):
                    if other is not client:
                        await other.send_bytes(message.data)
    except ConnectionError:
        pass
    finally:
        room.discard(client)
    return client


def main(port, pem=None):
    """Serve until killed."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER) if pem else None
    if context:
        context.load_cert_chain(pem)
    app = web.Application()
    app.router.add_get("/{room:.*}", handle)
    web.run_app(
        app, host="127.0.0.1", port=int(port), ssl_context=context, print=None, access_log=None, backlog=4096
    )


main(*sys.argv[1:])
