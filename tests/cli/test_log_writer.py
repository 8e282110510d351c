"""The log holds up nothing: a pipe that nobody reads costs lines, which are counted, and never the server."""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import trio
from helpers.raw_peer import BINARY, TEXT, close, frame, joined
from helpers.server_process import environment

from trioecho.cli.log_writer import MAX_LINE_BYTES, LogWriter
from trioecho.cli.logs import JsonFormatter

SLACK = 1.0
"""How much longer than it must something may take on a busy machine (seconds)."""


@contextmanager
def writer_to(fd: int, **options: int) -> Iterator[logging.Logger]:
    """Give a logger that writes to a file descriptor, as JSON, until the block ends."""
    writer = LogWriter(fd, **options)
    writer.setFormatter(JsonFormatter())
    logger = logging.Logger("test")
    logger.addHandler(writer)
    try:
        yield logger
    finally:
        writer.close()


def read_all(fd: int) -> list[dict[str, object]]:
    """Read a pipe to its end: the entries of its lines."""
    with os.fdopen(fd) as pipe:
        return [json.loads(line) for line in pipe]


def test_what_a_full_pipe_does_not_take_is_counted_and_said_once_there_is_room() -> None:
    reading, writing = os.pipe()
    began = time.monotonic()
    with writer_to(writing, queue_bytes=100_000) as logger:
        for number in range(10_000):
            logger.info("%d", number)
        assert time.monotonic() - began < 5 + SLACK  # and does not hang
        with os.fdopen(os.dup(reading)) as pipe:
            entries, known = [], 0
            while known < 10_000:
                entries.append(json.loads(pipe.readline()))
                known += entries[-1].get("count", 1)
            logger.info("there is room again")
            assert json.loads(pipe.readline())["text"] == "there is room again"
    os.close(writing)
    os.close(reading)
    numbers = [int(entry["text"]) for entry in entries if entry["event"] == "message"]
    assert numbers == sorted(set(numbers)) and numbers[:100] == list(range(100)) and len(numbers) < 10_000
    assert known == 10_000 and entries[-1]["event"] == "log-lines-left-out"


def test_lines_gather_so_that_not_each_costs_a_write() -> None:
    writes, others = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with writes, others, writer_to(writes.fileno()) as logger:
        for number in range(50):
            logger.info("%d", number)
            time.sleep(0)  # the other thread's chance
        packets: list[bytes] = []  # each is a write
        while b"".join(packets).count(b"\n") < 50:
            packets.append(others.recv(65536))
    lines = b"".join(packets).splitlines()
    assert [json.loads(line)["text"] for line in lines] == [str(number) for number in range(50)]
    assert len(packets) < 10


def test_what_is_queued_is_written_at_the_end() -> None:
    reading, writing = os.pipe()
    with writer_to(writing) as logger:
        for number in range(100):
            logger.info("%d", number)
    os.close(writing)
    assert [entry["text"] for entry in read_all(reading)] == [str(number) for number in range(100)]


def test_the_end_waits_a_second_for_a_full_pipe_and_no_longer() -> None:
    reading, writing = os.pipe()
    with writer_to(writing) as logger:
        for _ in range(100):
            logger.info("x" * 10_000)
        began = time.monotonic()
    assert time.monotonic() - began < 1 + SLACK
    os.close(reading)  # which ends the thread that is stuck
    time.sleep(0)
    os.close(writing)


@pytest.mark.filterwarnings("error")
def test_a_reader_that_is_gone_harms_nothing() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with writer_to(writing) as logger:
        for _ in range(10):
            logger.info("nobody reads this")
    os.close(writing)


def test_a_pipe_in_non_blocking_mode_is_waited_for() -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with writer_to(writing) as logger:
        for number in range(2_000):
            logger.info("%d", number)
        lines = bytearray()
        while lines.count(b"\n") < 2_000:
            lines += os.read(reading, 65536)
    os.close(writing)
    os.close(reading)
    assert [json.loads(line)["text"] for line in lines.splitlines()] == [str(n) for n in range(2_000)]


def test_a_line_is_cut_in_its_middle_if_it_is_long() -> None:
    reading, writing = os.pipe()
    with writer_to(writing) as logger:
        logger.handlers[0].setFormatter(logging.Formatter())
        logger.info("start%send", "x" * 1_000_000)
        with os.fdopen(os.dup(reading)) as pipe:
            lines = [pipe.readline() for _ in range(3)]
    os.close(writing)
    os.close(reading)
    assert lines[0].startswith("start") and lines[2].endswith("end\n")
    assert "bytes left out" in lines[1]
    assert sum(len(line) for line in lines) < MAX_LINE_BYTES + 100


def test_a_record_that_cannot_be_formatted_harms_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    reading, writing = os.pipe()
    with writer_to(writing) as logger:
        logger.info("%d", "no number")
        logger.info("and on")
    os.close(writing)
    assert [entry["text"] for entry in read_all(reading)] == ["and on"]
    assert "Logging error" in capsys.readouterr().err


async def test_a_server_whose_log_nobody_reads_goes_on_and_shuts_down() -> None:
    reading, writing = os.pipe()
    command = [sys.executable, "-m", "trioecho", "serve", "--port", "0", "--log-level", "debug"]
    with trio.fail_after(30):
        process = await trio.lowlevel.open_process(command, stderr=writing, env=environment())
        os.close(writing)
        try:
            line = await trio.to_thread.run_sync(os.read, reading, 1000)
            url = line.decode().partition("url=")[2].partition(" ")[0]
            async with joined(url) as sender, joined(url) as reader, trio.open_nursery() as nursery:

                async def send() -> None:
                    for _ in range(300):  # each message is a line; 2 MiB of them are more than can wait
                        await sender.send(frame(TEXT, b"x") * 100)
                    await sender.send(frame(BINARY, b"done"))

                nursery.start_soon(send)
                received = 0
                while (await reader.read_frame()) != (BINARY, b"done"):
                    received += 1
                assert received == 30_000
            process.send_signal(signal.SIGTERM)
            began = trio.current_time()
            assert await process.wait() == 0
            assert trio.current_time() - began < 1 + 2 * SLACK
        finally:
            if process.returncode is None:
                process.kill()
            os.close(reading)


async def test_a_server_whose_log_is_read_again_says_how_many_lines_are_missing() -> None:
    reading, writing = os.pipe()
    command = [sys.executable, "-m", "trioecho", "serve", "--port", "0", "--log-level", "debug"]
    with trio.fail_after(30):
        process = await trio.lowlevel.open_process(
            [*command, "--log-format", "json"], stderr=writing, env=environment()
        )
        os.close(writing)
        try:
            start = await trio.to_thread.run_sync(os.read, reading, 1000)
            async with joined(json.loads(start)["url"]) as sender, joined(json.loads(start)["url"]) as reader:
                for _ in range(30):
                    await sender.send(frame(TEXT, b"x") * 1000)
                    for _ in range(1000):
                        await reader.read_frame()
                entries: list[dict[str, object]] = []
                with os.fdopen(os.dup(reading)) as pipe:
                    while not entries or entries[-1]["event"] != "log-lines-left-out":
                        entries.append(json.loads(await trio.to_thread.run_sync(pipe.readline)))
                    missing = entries[-1]["count"]
                    await sender.send(close(1000))
                    await sender.read_close()
                    while not any(entry["event"] == "disconnected" for entry in entries):
                        entries.append(json.loads(await trio.to_thread.run_sync(pipe.readline)))
                assert isinstance(missing, int) and missing > 0
                assert sum(entry["event"] == "message" for entry in entries) + missing == 30_000
            process.send_signal(signal.SIGTERM)
            assert await process.wait() == 0
        finally:
            if process.returncode is None:
                process.kill()
            os.close(reading)


def test_a_server_that_cannot_log_at_all_serves() -> None:
    """Standard error closed from the start, as by a bare service manager."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "trioecho", "serve", "--port", str(port)]
    process = subprocess.Popen(
        ["sh", "-c", 'exec "$@" 2>&-', "sh", *command], env=environment(), stdout=subprocess.PIPE
    )
    try:
        until = time.monotonic() + 20
        while True:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                assert time.monotonic() < until and process.poll() is None
                time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        assert process.wait(5) == 0
    finally:
        process.kill()
        process.communicate()
