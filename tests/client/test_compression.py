"""The client inflates what a server compresses: whatever was agreed on, and whatever a hostile one sends."""

from __future__ import annotations

import json
import shutil
import subprocess
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import trio
from helpers.json_messages import messages
from helpers.other_servers import (
    RawServer,
    frame,
    frames_sent,
    raw_server,
    run_here,
    shake_hands,
    websockets_server,
)
from helpers.server import serving
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory
from websockets.sync.server import ServerConnection
from wsproto.frame_protocol import CloseReason, Opcode, RsvBits

from trioecho import ClientError, open_client
from trioecho.client import ConnectionLost, NotWebSocket
from trioecho.client.deflate import Deflate
from trioecho.client.options import ClientOptions
from trioecho.limits import MIB
from trioecho.options import OptionError
from trioecho.protocol.deflate import RSV1, TAIL
from trioecho.protocol.deflate_answer import BadAnswer, keeps_past
from trioecho.settings import Options

AGREED = b"Sec-WebSocket-Extensions: permessage-deflate\r\n"
FEED = messages("telemetry", 480, 60) + messages("chat", 500, 60) + ["short", "", "Zoë 😀" * 200]


def deflated(message: bytes, *, flush: int = zlib.Z_SYNC_FLUSH, level: int = 6, bits: int = 15) -> bytes:
    compressor = zlib.compressobj(level, wbits=-bits)
    return (compressor.compress(message) + compressor.flush(flush)).removesuffix(TAIL)


def compressed(opcode: int, message: bytes) -> bytes:
    return frame(opcode | RSV1, deflated(message))


async def saying(
    *parts: bytes, agreed: bytes = AGREED, **options: object
) -> tuple[list[str | bytes], str, int]:
    """What a client gets from a server that says this, how it ended, and the code it told the server."""

    async def speak(stream: trio.SocketStream, server: RawServer) -> None:
        await shake_hands(stream, agreed)
        for part in parts:
            await stream.send_all(part)
        await server.listen(stream)

    got: list[str | bytes] = []
    async with raw_server(speak) as server:
        with pytest.raises(ClientError) as ended:
            async with open_client(server.url, close_timeout=0.4, **options) as client:  # type: ignore[arg-type]
                async for message in client:
                    got.append(message)
        await server.hung_up.wait()
        code = next(body[:2] for opcode, body in frames_sent(server.received) if opcode == 8)
    return got, str(ended.value), int.from_bytes(code, "big")


@pytest.mark.parametrize(
    "options",
    [{}, {"compress_level": 9}, {"compress_min": 1}, {"to": "sender"}, {"compress": False}],
    ids=str,
)
async def test_our_own_server(options: Options) -> None:
    chosen: Options = {"to": "everyone", **options}
    async with serving(**chosen) as server:
        async with open_client(server.url) as client:
            answered = dict(client.response_headers).get("sec-websocket-extensions", "")
            assert answered.startswith("permessage-deflate") is options.get("compress", True)
            for sent in FEED * 2:
                await client.send(sent)
                assert await client.receive() == sent


async def test_nothing_is_offered_if_the_program_says_so() -> None:
    async with serving(to="everyone") as server:
        async with open_client(server.url, compress=False) as client:
            assert "sec-websocket-extensions" not in dict(client.response_headers)
            await client.send("x" * 500)
            assert await client.receive() == "x" * 500
    with pytest.raises(OptionError, match="must be True or False"):
        ClientOptions(compress="yes")  # type: ignore[arg-type]


def speak_and_listen(connection: ServerConnection) -> None:
    for message in FEED:
        connection.send(message)
        connection.send(message.encode())
    # In fragments, with a ping between two of them.
    connection.send([message for message in FEED if message])
    for answer in connection:
        connection.send(answer)


@pytest.mark.parametrize("no_takeover", [False, True])
@pytest.mark.parametrize("client_no_takeover", [False, True])
@pytest.mark.parametrize("bits", [None, 9, 12, 15])
async def test_the_websockets_library(no_takeover: bool, client_no_takeover: bool, bits: int | None) -> None:
    factory = ServerPerMessageDeflateFactory(
        server_no_context_takeover=no_takeover,
        client_no_context_takeover=client_no_takeover,
        server_max_window_bits=bits,
        client_max_window_bits=bits,
    )
    with websockets_server(speak_and_listen, extensions=[factory]) as url:
        async with open_client(url) as client:
            answer = dict(client.response_headers)["sec-websocket-extensions"]
            assert ("server_no_context_takeover" in answer) is no_takeover
            assert (f"server_max_window_bits={bits}" in answer) is (bits is not None)
            for sent in FEED:
                assert await client.receive() == sent
                assert await client.receive() == sent.encode()
            assert await client.receive() == "".join(FEED)
            await client.send("Zoë" * 1000)
            assert await client.receive() == "Zoë" * 1000


NODE = """
const { WebSocketServer } = require("ws");
const [options, feed] = process.argv.slice(1).map((text) => JSON.parse(text));
const server = new WebSocketServer({ port: 0, host: "127.0.0.1", perMessageDeflate: options }, () =>
  console.log(server.address().port));
server.on("connection", (socket) => {
  for (const message of feed) socket.send(message);
  socket.on("message", (data, isBinary) => socket.send(data, { binary: isBinary }));
});
"""


@contextmanager
def node_server(options: str, feed: str) -> Iterator[str]:
    """A server of Node's ``ws``, where it is installed."""
    node = shutil.which("node")
    if node is None or subprocess.run([node, "-e", "require('ws')"], capture_output=True).returncode:
        pytest.skip("needs Node's ws: npm install ws, and name its node_modules in NODE_PATH")
    with subprocess.Popen([node, "-e", NODE, options, feed], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield f"ws://127.0.0.1:{int(process.stdout.readline())}/"
        finally:
            process.kill()


@pytest.mark.parametrize(
    "options",
    [
        '{"threshold": 0}',
        '{"threshold": 0, "serverNoContextTakeover": true, "clientNoContextTakeover": true}',
        '{"threshold": 100, "serverMaxWindowBits": 10, "clientMaxWindowBits": 10}',
    ],
)
async def test_nodes_ws(options: str) -> None:
    with node_server(options, json.dumps(FEED)) as url:
        async with open_client(url) as client:
            assert "permessage-deflate" in dict(client.response_headers)["sec-websocket-extensions"]
            for sent in FEED:
                assert await client.receive() == sent
            await client.send(b"\x00" * 1000)
            assert await client.receive() == b"\x00" * 1000


@pytest.mark.parametrize(
    ("answer", "keeps"),
    [
        ("permessage-deflate", True),
        ("Permessage-Deflate ; client_no_context_takeover", True),
        ('permessage-deflate; server_max_window_bits="12"; client_max_window_bits=9', True),
        ("permessage-deflate; server_no_context_takeover; client_no_context_takeover", False),
    ],
)
def test_answers(answer: str, keeps: bool) -> None:
    assert keeps_past([answer]) is keeps


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        (["x-webkit-deflate-frame"], "chose the extensions 'x-webkit-deflate-frame', and only"),
        (["permessage-deflate, permessage-deflate"], "chose the extensions"),
        (["permessage-deflate", "permessage-deflate"], "chose the extensions"),
        (["permessage-deflate; fast"], "the parameter 'fast' which cannot be"),
        (
            ["permessage-deflate; server_max_window_bits"],
            "'server_max_window_bits' which cannot be",
        ),
        (["permessage-deflate; server_max_window_bits=7"], "parameter 'server_max_window_bits=7' which"),
        (["permessage-deflate; server_max_window_bits=16"], "parameter 'server_max_window_bits=16' which"),
        (["permessage-deflate; client_max_window_bits=08"], "parameter 'client_max_window_bits=08' which"),
        (["permessage-deflate; server_no_context_takeover=1"], "'server_no_context_takeover=1' which"),
        (["permessage-deflate; server_max_window_bits=9; server_max_window_bits=9"], "window_bits=9' twice"),
    ],
)
async def test_an_answer_that_cannot_be_fails_the_handshake(answers: list[str], said: str) -> None:
    with pytest.raises(BadAnswer):
        keeps_past(answers)

    async def nearly(stream: trio.SocketStream, server: RawServer) -> None:
        head = "".join(f"Sec-WebSocket-Extensions: {answer}\r\n" for answer in answers)
        await shake_hands(stream, head.encode())
        await server.listen(stream)

    async with raw_server(nearly) as server:
        with pytest.raises(NotWebSocket) as caught:
            async with open_client(server.url):
                pass
    assert said in str(caught.value) and len(str(caught.value)) < 300


async def test_a_bomb_ends_the_connection_and_is_not_held() -> None:
    bomb = compressed(2, bytes(100 * MIB))
    assert len(bomb) < 200_000
    tracemalloc.start()
    try:
        got, said, code = await saying(compressed(1, b"fine"), bomb, max_message_size=10 * MIB)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (got, code) == (["fine"], 1009)
    assert f"sent a message of more than {10 * MIB} bytes (max-message-size)" in said
    assert peak < 50 * MIB


async def test_a_bomb_in_fragments_is_one_too() -> None:
    whole = deflated(bytes(3 * MIB))
    parts = [whole[at : at + 100] for at in range(0, len(whole), 100)]
    frames = [frame(RSV1 | 2, parts[0], final=False), *(frame(0, part, final=False) for part in parts[1:])]
    got, said, code = await saying(*frames)
    assert (got, code) == ([], 1009) and "(max-message-size)" in said


async def test_a_message_may_be_exactly_as_large_as_allowed() -> None:
    got, _, code = await saying(compressed(2, bytes(1000)), compressed(2, bytes(1001)), max_message_size=1000)
    assert (got, code) == ([bytes(1000)], 1009)


async def test_a_program_that_takes_nothing_stops_the_reader_however_much_is_compressed() -> None:
    large = compressed(2, bytes(MIB))

    async def speak(stream: trio.SocketStream, server: RawServer) -> None:
        await shake_hands(stream, AGREED)
        with trio.move_on_after(20):
            await stream.send_all(large * 60)  # 60 KiB on the wire
            await stream.send_all(compressed(1, b"end"))
        await server.listen(stream)

    async with raw_server(speak) as server:
        async with open_client(server.url, close_timeout=0.05) as client:
            with trio.move_on_after(0.5):  # as much as it will take by itself
                await trio.sleep_forever()
            assert client._connection.receive_queue._size < 3 * MIB
            for _ in range(60):
                assert await client.receive() == bytes(MIB)
            assert await client.receive() == "end"
            with pytest.raises(ConnectionLost):
                await client.close()
                await client.receive()


VALID = deflated(FEED[0].encode())


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        (frame(RSV1 | 1, b"\xff\xff\xff"), 1007),
        (frame(RSV1 | 1, b""), 1007),
        (frame(RSV1 | 1, deflated(b"\xff\xfe")), 1007),
        (frame(RSV1 | 2, deflated(b"x", flush=zlib.Z_FINISH)), 1007),
        (frame(RSV1 | 2, deflated(b"x", flush=zlib.Z_FINISH) * 9 + b"\x00"), 1007),
        (frame(RSV1 | 9, b""), 1002),
        (frame(RSV1 | 8, b""), 1002),
        (frame(2, b"x", final=False) + frame(RSV1, b"x"), 1002),
        (frame(0x20 | RSV1 | 2, VALID), 1002),
        (frame(RSV1 | 2, VALID[:-1]), 1007),
    ],
)
@pytest.mark.parametrize("keeps", [True, False])
async def test_what_is_malformed_ends_the_connection(bad: bytes, code: int, keeps: bool) -> None:
    agreed = AGREED if keeps else AGREED[:-2] + b"; server_no_context_takeover\r\n"
    got, said, told = await saying(compressed(1, b"fine"), bad, agreed=agreed)
    assert (got, told) == (["fine"], code)
    assert "broke the protocol: " in said


async def test_a_reserved_bit_is_an_error_where_nothing_was_agreed_on() -> None:
    got, _, code = await saying(frame(1, b"fine"), compressed(1, b"x"), agreed=b"")
    assert (got, code) == (["fine"], 1002)


async def test_a_message_may_be_several_streams() -> None:
    parts = deflated(b"one ", flush=zlib.Z_FINISH) + deflated(b"two ", flush=zlib.Z_FINISH)
    got, _, code = await saying(
        frame(RSV1 | 1, parts + deflated(b"three")),
        frame(RSV1 | 1, deflated(b"four", flush=zlib.Z_FINISH) + b"\x00"),
        compressed(1, b"five"),
        frame(8, b"\x0f\xa0"),
    )
    assert code == 4000 and got == ["one two three", "four", "five"]


def inflated(extension: Deflate, parts: list[bytes], *, between: Callable[[], None] = lambda: None) -> bytes:
    """A message as the extension gives it, fed in parts."""
    message = b""
    extension.frame_inbound_header(None, Opcode.BINARY, RsvBits(True, False, False), 0)  # type: ignore[arg-type]
    for part in parts:
        between()
        got = extension.frame_inbound_payload_data(None, part)  # type: ignore[arg-type]
        assert isinstance(got, bytes), CloseReason(got)
        message += got
    last = extension.frame_inbound_complete(None, True)  # type: ignore[arg-type]
    assert isinstance(last, bytes), last
    return message + last


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(
    sent=st.lists(
        st.one_of(st.binary(max_size=300), st.sampled_from([m.encode() for m in FEED])), max_size=8
    ),
    level=st.integers(0, 9),
    bits=st.integers(9, 15),
    flush=st.sampled_from([zlib.Z_SYNC_FLUSH, zlib.Z_FULL_FLUSH]),
    cut=st.integers(1, 40),
    keeps=st.booleans(),
)
def test_any_messages_in_any_parts(
    sent: list[bytes], level: int, bits: int, flush: int, cut: int, keeps: bool
) -> None:
    extension = Deflate(10_000, keeps_past=keeps)
    compressor = zlib.compressobj(level, wbits=-bits)

    def ping() -> None:
        extension.frame_inbound_header(None, Opcode.PING, RsvBits(False, False, False), 4)  # type: ignore[arg-type]
        assert extension.frame_inbound_payload_data(None, b"ping") == b"ping"  # type: ignore[arg-type]
        assert extension.frame_inbound_complete(None, True) is None  # type: ignore[arg-type]
        extension.frame_inbound_header(None, Opcode.CONTINUATION, RsvBits(False, False, False), 0)  # type: ignore[arg-type]

    for message in sent:
        if not keeps:
            compressor = zlib.compressobj(level, wbits=-bits)
        data = (compressor.compress(message) + compressor.flush(flush))[: -len(TAIL)]
        parts = [data[at : at + cut] for at in range(0, len(data), cut)]
        assert inflated(extension, parts, between=ping) == message


@pytest.mark.parametrize("keeps", [True, False])
@pytest.mark.parametrize("message", [FEED[0].encode(), bytes(range(256)) * 3, bytes(5000)])
def test_the_beginning_of_a_message_is_none(message: bytes, keeps: bool) -> None:
    whole = deflated(message)
    for at in range(len(whole)):
        extension = Deflate(10_000, keeps_past=keeps)
        assert inflated(extension, [whole]) == message
        extension.frame_inbound_header(None, Opcode.BINARY, RsvBits(True, False, False), at)  # type: ignore[arg-type]
        part = extension.frame_inbound_payload_data(None, whole[:at])  # type: ignore[arg-type]
        end = extension.frame_inbound_complete(None, True)  # type: ignore[arg-type]
        assert CloseReason.INVALID_FRAME_PAYLOAD_DATA in (part, end)


def test_the_command_line_says_no() -> None:
    heads: list[str] = []

    def remember(connection: ServerConnection) -> None:
        assert connection.request is not None
        heads.append(connection.request.headers.get("Sec-WebSocket-Extensions", ""))

    with websockets_server(remember, compression="deflate") as url:
        assert run_here("listen", url)[0] == 0
        assert run_here("listen", "--no-compress", url)[0] == 0
    assert heads == ["permessage-deflate; client_max_window_bits", ""]
