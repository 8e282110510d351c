"""The test kit: what a user's tests can do with it, in no time and without a port."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import trio
import trio.testing

import trioecho
from trioecho import Member, Request, Response
from trioecho.testing import Closed, NotLetIn, OpenServer, open_server, run


async def shout(member: Member, message: str | bytes) -> str:
    return str(message).upper()


async def test_a_users_own_hook_in_memory(trioecho_server: OpenServer) -> None:
    async with trioecho_server(on_message=shout) as server:
        ann, bob = await server.connect("/chat"), await server.connect("/chat")
        await ann.send("hi", "there")
        assert [await bob.receive(), await bob.receive()] == ["HI", "THERE"]


async def test_a_connection_of_the_tests_own_is_served_as_any_other() -> None:
    async with open_server() as server:
        near, far = trio.testing.memory_stream_pair()
        await server.accept(near)
        await far.send_all(b"NONSENSE\r\n\r\n")
        assert (await far.receive_some()).startswith(b"HTTP/1.1 400 ")


def test_a_fixture_comes_with_the_package_and_a_test_is_ten_lines(tmp_path: Path) -> None:
    (tmp_path / "test_hook.py").write_text(
        """
async def shout(member, message):
    return message.upper()


async def test_a_hook(trioecho_server, autojump_clock):
    async with trioecho_server(on_message=shout) as server:
        ann, bob = await server.connect("/chat"), await server.connect("/chat")
        await ann.send("hi")
        assert await bob.receive() == "HI"
"""
    )
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-W",
        "error",
        "-o",
        "trio_mode=true",
        "-p",
        "no:cacheprovider",
    ]
    done = subprocess.run(
        [*command, str(tmp_path)], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_virtual_time_without_pytest() -> None:
    async def test() -> float:
        async with open_server(ping_interval=20, ping_timeout=20) as server:
            await server.connect()
            await trio.sleep(3600)
            assert server.hub.rooms == {"/": 1}  # it has answered all pings
        return trio.current_time()

    assert run(test) >= 3600


async def test_a_client_that_is_refused_knows_why() -> None:
    async with open_server(token={"ada": "9f3c2a7e51d04b68a1c5"}, subprotocols=("v1",)) as server:
        with pytest.raises(NotLetIn, match="401 A token is needed"):
            await server.connect()
        client = await server.connect(token="9f3c2a7e51d04b68a1c5", subprotocols=["v2", "v1"])
        assert client.subprotocol == "v1"
        assert server.hub.members("/")[0].identity.name == "ada"


async def test_http_beside_it() -> None:
    async def hello(request: Request) -> Response:
        return Response(200, f"Hello, {request.query}!".encode())

    async with open_server(http_handlers={"/hello": hello}) as server:
        client = await server.connect("/news")
        assert (await server.request("GET", "/hello?trio")).text == "Hello, trio!"
        answer = await server.request("POST", "/news", body="posted")
        assert (answer.status, answer.headers["content-type"]) == (202, "application/json")
        assert await client.receive() == "posted"


async def test_a_stuck_client_is_too_slow_and_goes_on_when_told(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with open_server(
        max_pending_bytes=3000, max_message_size=1000, stall_limit=5, stall_share=1
    ) as server:
        stuck, patient, well = (
            await server.connect_stuck(),
            await server.connect_stuck("/other"),
            await server.connect(),
        )
        for number in range(10):
            await server.hub.publish("/", f"{number}{900 * '.'}")
            await server.hub.publish("/other", str(number))
        assert [str(await well.receive())[0] for _ in range(10)] == list("0123456789")
        assert 5 <= trio.current_time() < 6
        patient.go_on()
        assert [await patient.receive() for _ in range(10)] == list("0123456789")
        stuck.go_on()
        assert (await stuck.wait_closed()).code in (1006, 1008)
        assert server.server.counters.disconnected["slow"] == 1


async def test_a_slow_client_takes_its_time(autojump_clock: trio.testing.MockClock) -> None:
    async with open_server() as server:
        client = await server.connect_slow(bytes_per_second=100)
        await server.hub.publish("/", 998 * "x")
        assert await client.receive() == 998 * "x"
        assert 9 < trio.current_time() < 12


@pytest.mark.parametrize(("silently", "why"), [(False, "lost"), (True, "dead")])
async def test_a_client_can_vanish(silently: bool, why: str, autojump_clock: trio.testing.MockClock) -> None:
    async with open_server(ping_interval=10, ping_timeout=10) as server:
        client = await server.connect()
        await client.vanish(silently=silently)
        await trio.sleep(30)
        assert dict(server.server.counters.disconnected) == {why: 1}


async def test_how_a_connection_ends() -> None:
    async with open_server(max_message_size=10) as server:
        client, other = await server.connect(), await server.connect()
        await client.close()
        await other.send(b"eleven bytes")
        ended = await other.wait_closed()
        assert (ended.code, str(ended)) == (1009, "1009 the message is larger than allowed")
        with pytest.raises(Closed):
            await other.receive()
        with pytest.raises(Closed):
            await other.send("more")
        third = await server.connect()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.shutdown)
            assert (await third.wait_closed()).code == 1001


async def test_an_error_of_a_test_comes_out_as_itself() -> None:
    with pytest.raises(LookupError):
        async with open_server() as server:
            await server.connect()
            raise LookupError


async def test_wrong_bytes_are_sent_as_they_are() -> None:
    async with open_server() as server:
        client = await server.connect()
        await client.send_bytes(b"\x83\x80\x00\x00\x00\x00")
        assert (await client.wait_closed()).code == 1002


def test_importing_trioecho_does_not_load_the_kit() -> None:
    check = "import sys, trioecho; print([name for name in sys.modules if 'testing' in name])"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    assert trioecho.__all__
