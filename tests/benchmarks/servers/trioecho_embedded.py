"""trioecho within an application, which is where TLS comes from: PORT [PEM]."""

import functools
import ssl
import sys

import trio

import trioecho


async def main(port, pem=None):
    """Serve until killed."""
    listeners = await trio.open_tcp_listeners(int(port), host="127.0.0.1", backlog=4096)
    if pem:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pem)
        listeners = [trio.SSLListener(listener, context) for listener in listeners]
    async with trio.open_nursery() as nursery:
        await nursery.start(functools.partial(trioecho.serve, listeners=listeners))


trio.run(main, *sys.argv[1:])
