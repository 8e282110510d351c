"""What compression is for: a page in a real browser gets a feed for a fifth of the bytes."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from helpers.browser import ServerProcess, chromium
from helpers.json_messages import messages
from websockets.sync.client import connect

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")

browser = pytest.fixture(scope="module")(chromium)

FEED = messages("telemetry", 1500, 300)

LISTEN = """() => new Promise((resolve) => {
  window.texts = [];
  window.socket = new WebSocket(location.href.replace("http", "ws"));
  socket.onmessage = (event) => texts.push(event.data);
  socket.onopen = () => resolve(socket.extensions);
})"""


class Meter:
    """Carries bytes between a browser and a server, and counts what the server says."""

    def __init__(self, port: int) -> None:
        self.bytes = 0
        self._port = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._port))
                threading.Thread(target=self._carry, args=(client, server, False), daemon=True).start()
                threading.Thread(target=self._carry, args=(server, client, True), daemon=True).start()

    def _carry(self, source: socket.socket, target: socket.socket, counted: bool) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                self.bytes += len(data) if counted else 0
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)


@contextmanager
def metered(*options: str) -> Iterator[tuple[ServerProcess, Meter]]:
    server = ServerProcess(*options)
    meter = Meter(server.port)
    try:
        yield server, meter
    finally:
        meter.close()
        server.stop()


def bytes_for_a_page(browser: Any, *options: str) -> tuple[list[str], int, str]:
    """What a page got of the feed, in how many bytes, and with which extension."""
    with metered(*options) as (server, meter):
        context = browser.new_context()
        try:
            page = context.new_page()
            page.goto(f"http://{meter.address}/healthz")  # a page without a connection of its own
            page.evaluate("() => history.replaceState(null, '', '/feed')")
            extensions = page.evaluate(LISTEN)
            before = meter.bytes
            with connect(f"ws://{server.address}/feed") as publisher:
                for text in FEED:
                    publisher.send(text)
                page.wait_for_function("count => texts.length >= count", arg=len(FEED))
            return page.evaluate("() => texts"), meter.bytes - before, extensions
        finally:
            context.close()


def test_a_page_gets_a_feed_for_a_fifth_of_the_bytes(browser: Any) -> None:
    plain, plain_bytes, none = bytes_for_a_page(browser, "--no-compress")
    small, small_bytes, agreed = bytes_for_a_page(browser)
    assert (none, agreed) == ("", "permessage-deflate; client_no_context_takeover")
    assert plain == small == FEED
    # A browser asks for an icon when it likes, which may be meanwhile.
    assert 0 <= plain_bytes - sum(4 + len(text) for text in FEED) < 5_000
    assert small_bytes <= plain_bytes / 5


def test_the_page_itself_comes_compressed(browser: Any) -> None:
    sizes = {}
    for options in [(), ("--no-compress",)]:
        with metered(*options) as (_, meter):
            page = browser.new_page()
            page.goto(f"http://{meter.address}/")
            page.locator("#state", has_text=re.compile("^Connected$")).wait_for()
            sizes[options] = meter.bytes
            page.close()
    assert sizes[()] < sizes["--no-compress",] / 2


LISTEN_TO_EVENTS = """() => new Promise((resolve) => {
  window.texts = [];
  window.events = new EventSource("/feed");
  events.onmessage = (event) => texts.push(event.data);
  events.onopen = () => resolve();
})"""


def test_event_source_gets_the_same_events_for_a_fifth_of_the_bytes(browser: Any) -> None:
    bytes_for, texts = {}, {}
    for options in [(), ("--no-compress",)]:
        with metered(*options) as (server, meter):
            page = browser.new_page()
            page.goto(f"http://{meter.address}/healthz")
            page.evaluate(LISTEN_TO_EVENTS)
            before = meter.bytes
            with connect(f"ws://{server.address}/feed") as publisher:
                for text in FEED:
                    publisher.send(text)
                page.wait_for_function("count => texts.length >= count", arg=len(FEED))
            bytes_for[options], texts[options] = meter.bytes - before, page.evaluate("() => texts")
            page.close()
    assert texts[()] == texts["--no-compress",] == FEED
    assert bytes_for[()] < bytes_for["--no-compress",] / 5
