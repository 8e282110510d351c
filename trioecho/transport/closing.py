"""
How a connection is closed, so that what was sent last arrives, or so that nothing is left behind.

A socket that is closed while bytes of the peer are unread answers with a reset, which destroys what is still
on its way to the peer: :func:`linger` is for an end that is to arrive. A socket that is closed while the peer
takes nothing stays in the kernel for minutes, with all that waits for it: :func:`reset_on_close` is for that.
"""

from __future__ import annotations

import select
import socket
import struct
import sys
from contextlib import suppress

import trio

from trioecho.transport.peer import socket_of
from trioecho.transport.socket_stream import PlainSocket
from trioecho.transport.tls_socket import TLSSocket

__all__ = ["close_now", "is_gone", "linger", "linger_for", "reset_on_close"]

RECEIVE_BYTES = 64 * 1024
"""One read from the network, to be ignored (bytes)."""

CLOSE_NOTIFY_TIMEOUT = 0.5
"""How long a TLS peer may take to answer our close_notify before TCP's own end says it too (seconds)."""

UNREAD_TIMEOUT = 20.0
"""How long what was sent last stays in the kernel for a peer that takes none of it (seconds)."""

RESET = struct.pack("ii", 1, 0)
"""``SO_LINGER`` on, with no time: closing discards what was not taken, and sends a reset."""


async def linger(stream: trio.abc.Stream) -> None:
    """
    Tell the peer that no more comes, and read until it has ended the connection too.

    Over TLS a close_notify says it first; ``stream`` must only be closed afterwards. The caller sets the
    deadline. Raises nothing if the connection is gone.
    """
    with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
        while isinstance(stream, trio.SSLStream):
            # trio has no half-close of TLS. This one waits for the peer's own close_notify, and fails when it
            # ends the connection without one or goes on sending; ours has been sent by then.
            with trio.move_on_after(CLOSE_NOTIFY_TIMEOUT), suppress(trio.BrokenResourceError):
                await stream.unwrap()
            stream = stream.transport_stream
        if isinstance(stream, TLSSocket):
            stream = await stream.say_goodbye()
        if isinstance(stream, trio.abc.HalfCloseableStream):
            await stream.send_eof()
        while await stream.receive_some(RECEIVE_BYTES):
            pass


async def close_now(stream: trio.abc.Stream) -> None:
    """Close without waiting for anything, and without a checkpoint where the socket is ours."""
    if isinstance(stream, (PlainSocket, TLSSocket)):
        stream.close()
    else:
        await trio.aclose_forcefully(stream)


def reset_on_close(stream: trio.abc.Stream) -> None:
    """
    Have the kernel forget what the peer has not taken when ``stream`` is closed.

    Does nothing where the peer has taken everything (an ordinary end never is a reset), and where there is
    no TCP.
    """
    connected = socket_of(stream)
    if connected is None or connected.fileno() < 0:
        return
    if connected.family not in (socket.AF_INET, socket.AF_INET6) or not _unacknowledged(connected.fileno()):
        return
    with suppress(OSError):
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)


async def linger_for(stream: trio.abc.Stream, seconds: float) -> None:
    """
    Linger so long at most. Closing ``stream`` then does not cut a peer short that is only slow.

    But of one that takes nothing for a while, the kernel forgets what is left (Linux, TCP).
    """
    with trio.move_on_after(seconds) as waiting:
        await linger(stream)
    if waiting.cancelled_caught:
        _expire_unread(stream)


def _expire_unread(stream: trio.abc.Stream) -> None:
    connected, option = socket_of(stream), getattr(socket, "TCP_USER_TIMEOUT", None)
    if option is None or connected is None or connected.fileno() < 0:
        return
    if connected.family in (socket.AF_INET, socket.AF_INET6):
        with suppress(OSError):
            connected.setsockopt(socket.IPPROTO_TCP, option, round(UNREAD_TIMEOUT * 1000))


def is_gone(stream: trio.abc.Stream) -> bool:
    """
    Whether the connection is known to be broken: reset, or ended by both sides.

    For who does not read just now, and would not hear of it. A peer that has only said that it is done is not
    gone. Where there is no socket or no ``poll`` nothing is known.
    """
    connected = socket_of(stream)
    if connected is None or connected.fileno() < 0 or not hasattr(select, "poll"):
        return False
    asked = select.poll()
    asked.register(connected.fileno(), 0)
    return bool(asked.poll(0))


def _unacknowledged(descriptor: int) -> bool:
    """Whether bytes are left that the peer's kernel has not acknowledged; taken for granted off Linux."""
    if sys.platform == "linux":
        import fcntl
        import termios

        with suppress(OSError):
            waiting = fcntl.ioctl(descriptor, termios.TIOCOUTQ, bytes(4))
            return int.from_bytes(waiting, sys.byteorder) > 0
    return True
