"""The TLS socket is a stream as trio wants it, writes whole records, and tells why it failed."""

from __future__ import annotations

import gc
import socket
import ssl
import subprocess
import sys
import weakref
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
import trio
import trio.testing
import trustme

from trioecho.transport.tls_socket import TLSSocket

pytestmark = pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="socket pairs are for POSIX")

CA = trustme.CA()
OTHER_CA = trustme.CA()


def contexts(issuer: trustme.CA = CA) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Make a server's context and a client's that trusts ``CA``."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.options |= ssl.OP_NO_RENEGOTIATION
    issuer.issue_cert("localhost").configure_cert(server)
    client = ssl.create_default_context()
    CA.configure_trust(client)
    return server, client


SERVER, CLIENT = contexts()


def socket_pair(buffer: int | None = None) -> tuple[socket.socket, socket.socket]:
    near, far = socket.socketpair()
    for end in near, far:
        if buffer is not None:
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffer)
    return near, far


async def shake_hands(*ends: TLSSocket | trio.SSLStream[trio.SocketStream]) -> None:
    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            for end in ends:
                nursery.start_soon(end.do_handshake)


async def pair(buffer: int | None = None) -> tuple[TLSSocket, TLSSocket]:
    """Make two ends whose handshake is over."""
    near, far = socket_pair(buffer)
    server = TLSSocket(near, SERVER)
    client = TLSSocket(far, CLIENT, server_side=False, server_hostname="localhost")
    await shake_hands(server, client)
    return server, client


async def with_trio(buffer: int | None = None) -> tuple[TLSSocket, trio.SSLStream[trio.SocketStream]]:
    """Make a server's end of ours and a client's of trio's."""
    near, far = socket_pair(buffer)
    server = TLSSocket(near, SERVER)
    stream = trio.SocketStream(trio.socket.from_stdlib_socket(far))
    client = trio.SSLStream(stream, CLIENT, server_hostname="localhost")
    await shake_hands(server, client)
    return server, client


def clog(end: TLSSocket) -> bytes:
    """Write until the kernel takes no more; return what was counted as sent, all but one byte."""
    counted = b""
    number = 0
    while True:
        data = number.to_bytes(4, "big") * 250
        written = end.send(data)
        counted += data[:written]
        number += 1
        if written < len(data):
            assert written == len(data) - 1
            return counted


async def clogged_pair() -> tuple[TLSSocket, TLSSocket]:
    """Make two that take nothing more."""
    near, far = await pair()
    for end in near, far:
        # What is owed would come first: send it with whatever comes.
        clog(end)
    return near, far


async def read_exactly(stream: trio.abc.ReceiveStream, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        some = await stream.receive_some(size - len(data))
        assert some, f"it ended after {len(data)} bytes"
        data += some
    return bytes(data)


async def test_it_is_a_stream_as_trio_wants_it() -> None:
    await trio.testing.check_two_way_stream(pair, clogged_pair)


async def test_it_understands_trios_own_stream_and_is_understood() -> None:
    near, far = await with_trio()
    async with near, far:
        for size in 1, 2, 16_384, 16_385, 65_536, 1_000_000:
            data = bytes(range(256)) * (size // 256 + 1)
            data = data[:size]
            for sender, receiver in (near, far), (far, near):
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(sender.send_all, data)
                    assert await read_exactly(receiver, size) == data
        await near.aclose()
        assert await far.receive_some() == b""  # a close_notify: without it trio raises


async def test_the_peers_goodbye_is_the_end_and_stays_it() -> None:
    near, far = await with_trio()
    async with near:
        await far.send_all(b"the last")
        await far.aclose()
        assert await near.receive_some() == b"the last"
        for _ in range(2):
            assert await near.receive_some() == b""


async def test_an_end_without_goodbye_is_told_from_one_with_it() -> None:
    near, far = await with_trio()
    async with near:
        await near.send_all(b"x")
        assert await far.receive_some() == b"x"  # the tickets, too: with bytes unread, closing is a reset
        await far.send_all(b"cut sho")
        await trio.aclose_forcefully(far.transport_stream)
        assert await near.receive_some() == b"cut sho"
        for _ in range(2):
            with pytest.raises(trio.BrokenResourceError, match="without a TLS close_notify"):
                await near.receive_some()


async def test_what_the_kernel_did_not_take_goes_first_and_nothing_is_doubled() -> None:
    near, far = await with_trio(4096)
    async with near, far:
        counted = clog(near)
        with pytest.raises(BlockingIOError):
            near.send(b"xx")
        rest = (249).to_bytes(1, "big")  # any byte: the real one is in the record already
        async with trio.open_nursery() as nursery:
            nursery.start_soon(near.send_all, rest + b"and then this")
            got = await read_exactly(far, len(counted) + 1 + 13)
        assert got[: len(counted)] == counted
        assert got[-13:] == b"and then this"


async def write_all(end: TLSSocket, data: bytes, write: Callable[[bytes], int]) -> None:
    """Write as a wire does: what is left begins the next write."""
    view = memoryview(data)
    while view:
        try:
            view = view[write(bytes(view)) :]
        except BlockingIOError:
            pass
        if view:
            await end.wait_send_all_might_not_block()


@pytest.mark.parametrize("buffer", [2048, 40_000, 300_000])
@pytest.mark.parametrize("size", [2, 100, 16_384, 16_385, 65_537, 700_000])
async def test_writes_without_waiting_arrive_whole(buffer: int, size: int) -> None:
    near, far = await with_trio(buffer)
    async with near, far:
        data = bytes(index * 31 & 255 for index in range(size))
        rounds = max(3, 200_000 // size // 10)

        async def write() -> None:
            for number in range(rounds):
                parts = [data[: size // 3], data[size // 3 :]]
                if number % 2:
                    await write_all(near, data, near.send)
                else:
                    await write_all(near, data, lambda some: near.send_parts([some[:1], some[1:]]))
                assert b"".join(parts) == data

        with trio.fail_after(20):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(write)
                for _ in range(rounds):
                    assert await read_exactly(far, size) == data


async def test_a_cancelled_write_is_finished_by_the_next() -> None:
    near, far = await with_trio(4096)
    async with near, far:
        with trio.move_on_after(0.05) as scope:
            await near.send_all(b"a" * 1_000_000)
        assert scope.cancelled_caught
        async with trio.open_nursery() as nursery:
            nursery.start_soon(near.send_all, b"b")
            got = b""
            while not got.endswith(b"b"):
                got += await far.receive_some()
        assert 0 < len(got) < 1_000_000
        assert set(got[:-1]) == {ord("a")}


async def test_reading_works_while_writing_waits() -> None:
    near, far = await with_trio(4096)
    async with near, far, trio.open_nursery() as nursery:
        nursery.start_soon(near.send_all, bytes(1_000_000))
        await trio.testing.wait_all_tasks_blocked()
        for _ in range(3):
            await far.send_all(b"question")
            assert await near.receive_some() == b"question"
        nursery.cancel_scope.cancel()


async def test_many_small_records_come_in_one_read() -> None:
    near, far = await with_trio()
    async with near, far:
        for _ in range(100):
            await far.send_all(b"0123456789")
        assert await near.receive_some() == b"0123456789" * 100


async def test_what_was_read_before_the_handshake_is_part_of_it() -> None:
    near, far = socket_pair()
    client = TLSSocket(far, CLIENT, server_side=False, server_hostname="localhost")
    async with client, trio.open_nursery() as nursery:
        nursery.start_soon(client.do_handshake)
        await trio.testing.wait_all_tasks_blocked()
        async with TLSSocket(near, SERVER, received=near.recv(100)) as server:
            await server.do_handshake()
            await client.send_all(b"hello")
            assert await server.receive_some() == b"hello"


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_second_connection_resumes_the_first(version: ssl.TLSVersion) -> None:
    server, client = contexts()
    client.maximum_version = version
    session = None
    for resumed in False, True:
        near, far = socket_pair()
        far.setblocking(True)

        def talk(far: socket.socket = far, session: ssl.SSLSession | None = session) -> ssl.SSLSession | None:
            with client.wrap_socket(far, server_hostname="localhost", session=session) as peer:
                assert peer.recv(10) == b"hello"
                return peer.session  # the tickets came before the data

        async with TLSSocket(near, server) as stream:
            sessions: list[ssl.SSLSession | None] = []

            async def in_thread(found: list[ssl.SSLSession | None] = sessions) -> None:
                found.append(await trio.to_thread.run_sync(talk))

            async with trio.open_nursery() as nursery:
                nursery.start_soon(in_thread)
                await stream.do_handshake()
                assert stream.session_reused is resumed
                assert stream.tls_version == version.name.replace("_", ".")
                await stream.send_all(b"hello")
            (session,) = sessions


async def test_the_name_in_the_clients_certificate() -> None:
    server, client = contexts()
    server.verify_mode = ssl.CERT_REQUIRED
    CA.configure_trust(server)
    CA.issue_cert("one@example.org", "two.example.org", common_name="sensor-7").configure_cert(client)
    near, far = socket_pair()
    async with TLSSocket(near, server) as ours:
        async with TLSSocket(far, client, server_side=False, server_hostname="localhost") as peer:
            await shake_hands(ours, peer)
            assert ours.tls_subject == "sensor-7"
            assert peer.tls_subject == "localhost"
    server, client = contexts()
    near, far = socket_pair()
    async with TLSSocket(near, server) as ours:
        async with TLSSocket(far, client, server_side=False, server_hostname="localhost") as peer:
            await shake_hands(ours, peer)
            assert ours.tls_subject is None
            assert ours.alpn_protocol is None


async def fails(make: Callable[[socket.socket], None], server: ssl.SSLContext = SERVER) -> str:
    """Let a peer in a thread do something, and return why the handshake failed."""
    near, far = socket_pair()
    far.settimeout(10)
    async with TLSSocket(near, server) as stream, trio.open_nursery() as nursery:
        nursery.start_soon(trio.to_thread.run_sync, make, far)
        with pytest.raises(trio.BrokenResourceError) as caught:
            await stream.do_handshake(within=5)
            await stream.receive_some()
        await stream.aclose()
        with far:
            return str(caught.value)


def dial(context: ssl.SSLContext) -> Callable[[socket.socket], None]:
    """Make a peer that shakes hands, whatever comes of it."""

    def run(far: socket.socket) -> None:
        with suppress(OSError), context.wrap_socket(far, server_hostname="localhost") as peer:
            peer.recv(1)

    return run


async def test_why_a_handshake_failed_is_said_in_one_sentence() -> None:
    assert await fails(lambda far: far.close()) == "the peer hung up during the TLS handshake"
    plain = await fails(lambda far: far.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"))
    assert plain == "the peer speaks plain HTTP, not TLS"
    assert await fails(lambda far: far.sendall(bytes(range(64)))) == "the peer does not speak TLS"
    distrusting = ssl.create_default_context()
    OTHER_CA.configure_trust(distrusting)
    assert "does not accept our certificate" in await fails(dial(distrusting))
    strict, _ = contexts()
    strict.verify_mode = ssl.CERT_REQUIRED
    CA.configure_trust(strict)
    _, client = contexts()
    assert "sent no certificate, and one is required" in await fails(dial(client), strict)
    OTHER_CA.issue_cert("stranger").configure_cert(client)
    assert "the peer's certificate is not accepted: " in await fails(dial(client), strict)


async def test_a_failed_handshake_tells_the_peer_why() -> None:
    near, far = socket_pair()
    async with TLSSocket(near, SERVER) as stream:
        far.sendall(bytes.fromhex("1603010005") + b"\x01\x00\x00\x01\x00")
        with pytest.raises(trio.BrokenResourceError):
            await stream.do_handshake()
        with pytest.raises(trio.BrokenResourceError):
            await stream.send_all(b"xx")
    with far:
        assert far.recv(100)[0] == 21  # an alert (RFC 8446, 5.1)


async def test_a_handshake_has_a_time_limit(autojump_clock: trio.testing.MockClock) -> None:
    near, far = socket_pair()
    with far:
        async with TLSSocket(near, SERVER) as stream:
            with pytest.raises(trio.BrokenResourceError, match="the TLS handshake took longer than 7 s"):
                await stream.do_handshake(within=7)
            assert trio.current_time() == pytest.approx(7)


async def test_a_record_that_does_not_decrypt_ends_it() -> None:
    near, far = await with_trio()
    async with near:
        await far.send_all(b"good")
        await far.transport_stream.send_all(b"\x17\x03\x03\x00\x20" + bytes(32))
        assert await near.receive_some() == b"good"
        for _ in range(2):
            with pytest.raises(trio.BrokenResourceError, match="a record that does not decrypt"):
                await near.receive_some()
        with pytest.raises(trio.BrokenResourceError):
            await near.send_all(b"xx")
        with pytest.raises(OSError):
            near.send(b"xx")
        await trio.aclose_forcefully(far)


async def test_a_reset_connection_is_reported_by_each_way_to_use_it() -> None:
    async with (await trio.open_tcp_listeners(0, host="127.0.0.1"))[0] as listener:
        dialled = socket.create_connection(listener.socket.getsockname())
        accepted = await listener.accept()
        near = socket.socket(fileno=accepted.socket.detach())
        client = TLSSocket(dialled, CLIENT, server_side=False, server_hostname="localhost")
        async with TLSSocket(near, SERVER) as stream:
            await shake_hands(stream, client)
            client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
            client.socket.close()
            with pytest.raises(trio.BrokenResourceError, match=r"the connection is gone: .*reset"):
                await stream.receive_some()
            with pytest.raises(OSError):
                stream.send(b"xx")
            with pytest.raises(trio.BrokenResourceError):
                await stream.send_all(b"too late")
            with pytest.raises(trio.BrokenResourceError):
                await stream.wait_send_all_might_not_block()
        with pytest.raises(trio.ClosedResourceError):
            await stream.receive_some()


async def test_nothing_stays_after_closing_for_the_collector_to_find() -> None:
    gc.collect()
    gc.disable()
    try:
        near, far = await pair()
        await near.send_all(b"hello")
        await far.receive_some()
        with pytest.raises(BlockingIOError):
            while True:
                near.send(bytes(1000))
                near.send(bytes(1000))
        objects: list[weakref.ReferenceType[object]] = [
            weakref.ref(near._tls),
            weakref.ref(far._tls),
            weakref.ref(near.socket),
        ]
        await near.aclose()
        await far.aclose()
        del near, far
        await trio.lowlevel.checkpoint()
        assert [ref() for ref in objects] == [None, None, None]
    finally:
        gc.enable()


async def test_openssls_own_client_is_served_and_may_not_renegotiate(tmp_path: Path) -> None:
    trusted = tmp_path / "ca.pem"
    CA.cert_pem.write_to_path(str(trusted))
    async with (await trio.open_tcp_listeners(0, host="127.0.0.1"))[0] as listener:
        port = listener.socket.getsockname()[1]
        command = (
            f"openssl s_client -connect 127.0.0.1:{port} -servername localhost -tls1_2 -CAfile {trusted}"
        )
        process = await trio.lowlevel.open_process(
            [*command.split(), "-verify_return_error", "-legacy_renegotiation"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        with trio.fail_after(20):
            accepted = await listener.accept()
            async with TLSSocket(socket.socket(fileno=accepted.socket.detach()), SERVER) as stream:
                await stream.do_handshake()
                await process.stdin.send_all(b"hello\n")
                assert await stream.receive_some() == b"hello\n"
                await process.stdin.send_all(b"R\n")  # s_client's command for it
                with pytest.raises(trio.BrokenResourceError):
                    while await stream.receive_some() != b"":
                        pass
                    raise trio.BrokenResourceError
            said = b""
            async for some in process.stdout:
                said += some
            await process.wait()
        assert b"Verify return code: 0 (ok)" in said
        assert b"no renegotiation" in said or b"no_renegotiation" in said, (said, sys.version)
