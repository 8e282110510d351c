"""Who is at the other end of a connection, found out before anything is read from it."""

from __future__ import annotations

import socket
import ssl

import pytest
import trio
import trio.testing
import trustme

from trioecho.transport.peer import Peer, resolve_peer
from trioecho.transport.socket_stream import unlayered


@pytest.mark.parametrize(
    ("peer", "text"),
    [
        (Peer("127.0.0.1", 50_000), "127.0.0.1:50000"),
        (Peer("::1", 5), "[::1]:5"),
        (Peer("unix"), "unix"),
        (Peer("memory"), "memory"),
    ],
)
def test_it_reads_as_log_lines_name_it(peer: Peer, text: str) -> None:
    assert str(peer) == text


async def test_over_tcp_it_is_the_address() -> None:
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    host, port = listener.socket.getsockname()[:2]
    async with listener, await trio.open_tcp_stream(host, port) as client:
        async with unlayered(await listener.accept()) as server:
            assert await resolve_peer(server) == Peer(*client.socket.getsockname()[:2])


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="needs IPv6")
async def test_an_ipv4_client_of_an_ipv6_socket_has_its_ipv4_address() -> None:
    # systemd's sockets are for both (BindIPv6Only=).
    with socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True) as both:
        both.setblocking(False)
        listener = trio.SocketListener(trio.socket.from_stdlib_socket(both.dup()))
        async with listener, await trio.open_tcp_stream("127.0.0.1", both.getsockname()[1]) as client:
            async with unlayered(await listener.accept()) as server:
                assert await resolve_peer(server) == Peer(*client.socket.getsockname()[:2])


async def test_without_an_address_it_is_what_it_is() -> None:
    near, far = trio.testing.memory_stream_pair()
    async with near, far:
        assert await resolve_peer(near) == Peer("memory")
    one, other = trio.socket.socketpair()
    async with trio.SocketStream(one) as pair, trio.SocketStream(other):
        assert await resolve_peer(pair) == Peer("unix")


async def test_over_tls_it_has_the_name_in_the_clients_certificate() -> None:
    authority = trustme.CA()
    ours = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    ours.verify_mode = ssl.CERT_REQUIRED
    authority.configure_trust(ours)
    authority.issue_cert("localhost").configure_cert(ours)
    theirs = ssl.create_default_context()
    authority.configure_trust(theirs)
    authority.issue_cert("ada@example.org", common_name="ada").configure_cert(theirs)
    near, far = trio.testing.memory_stream_pair()
    server = trio.SSLStream(near, ours, server_side=True)
    client = trio.SSLStream(far, theirs, server_hostname="localhost")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(client.do_handshake)
        peer = await resolve_peer(server)
    assert (peer.scheme, peer.tls_subject) == ("https", "ada")
    for stream in server, client:
        await trio.aclose_forcefully(stream)
