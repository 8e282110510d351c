"""The page at ``/status`` in a real browser: what an operator sees of a server."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from helpers.browser import ServerProcess, chromium, free_port, node_module
from websockets.sync.client import connect

PATIENCE = 30_000
"""How long the page may take to show something (milliseconds) before that counts as never."""

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")
"""Playwright leaves its pipes to the garbage collector."""

browser = pytest.fixture(scope="module")(chromium)


class Monitored(ServerProcess):
    """A server with an address for monitoring."""

    def __init__(self, *options: str) -> None:
        self.monitoring = f"127.0.0.1:{free_port()}"
        super().__init__("--metrics-address", self.monitoring, *options)


@pytest.fixture(scope="module")
def server() -> Iterator[Monitored]:
    server = Monitored()
    yield server
    server.stop()


@contextmanager
def opened(browser: Any, address: str, **options: Any) -> Iterator[Any]:
    """The page, once it has an answer; it logs no error until it is closed."""
    context = browser.new_context(**options)
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda line: errors.append(line.text) if "Security Policy" in line.text else None)
    try:
        page.goto(f"http://{address}/status")
        page.locator("#state", has_text="The server answers").wait_for()
        yield page
        assert not errors
    finally:
        context.close()


def test_it_shows_rooms_by_size_and_rates_as_they_come(browser: Any, server: Monitored) -> None:
    url = f"ws://{server.address}"
    with (
        connect(f"{url}/small") as talker,
        connect(f"{url}/large", max_queue=None) as one,
        connect(f"{url}/large", max_queue=None),
        opened(browser, server.monitoring) as page,
    ):
        rows = page.locator("#rooms tr")
        page.locator("#rooms tr", has_text="/large").wait_for()
        assert rows.all_inner_texts() == ["/large\t2\t0", "/small\t1\t0"]
        page.get_by_text("Nothing waits for anybody").wait_for()
        for _ in range(50):
            talker.send("x" * 100)
            one.send("y")
        page.locator("#rooms tr", has_text=re.compile("^/large250$")).wait_for()
        plot = page.get_by_role(
            "img", name=re.compile("^Messages in, the last five minutes: .* at most [1-9]")
        )
        plot.wait_for()
        # Each sample adds a point to the line, which has three beside them.
        expect = pytest.importorskip("playwright.sync_api").expect
        expect(plot.locator("path")).to_have_attribute("d", re.compile("(L.*){5}"), timeout=PATIENCE)


def test_a_rate_is_of_a_time_that_says_something(browser: Any, server: Monitored) -> None:
    looks = iter([(1.0, 0), (1.0 + 1e-9, 1000), (3.0, 2000), (4.0, 2000)])

    with opened(browser, server.monitoring) as page:

        def answer(route: Any) -> None:
            status = route.fetch().json()
            status["nodes"][0]["at"], status["nodes"][0]["messages_in"] = next(looks, (5.0, 2000))
            status["nodes"][0]["node"] = "another"
            route.fulfill(json=status)

        page.route("**/status", answer)
        name = "Messages in, the last five minutes: now 1,000 a second, at most 1,000"
        page.get_by_role("img", name=name, exact=True).wait_for()


def test_a_room_is_shown_as_text_whatever_its_name(browser: Any, server: Monitored) -> None:
    with (
        connect(f"ws://{server.address}/%3Cimg%20src=x%20onerror=%22alert(1)%22%3E"),
        opened(browser, server.monitoring) as page,
    ):
        page.get_by_text('/<img src=x onerror="alert(1)">', exact=True).wait_for()
        assert not page.locator("img").count()


def test_it_says_that_the_server_is_away_and_comes_back_with_it(browser: Any) -> None:
    server = Monitored()
    with opened(browser, server.monitoring) as page:
        server.stop()
        page.locator("#state", has_text="The server cannot be reached, trying again").wait_for()
        server.start()
        page.locator("#state", has_text="The server answers").wait_for()
    server.stop()


def test_beside_the_rooms_it_names_nobody(browser: Any) -> None:
    server = ServerProcess()
    with connect(f"ws://{server.address}/secret"), opened(browser, server.address) as page:
        page.locator("#rooms tr", has_text="room 1").wait_for()
        page.get_by_text("rooms and addresses are not named").wait_for()
        assert "secret" not in page.content()
    server.stop()


SLOW = {
    "address": "192.0.2.7",
    "room": "/r",
    "kind": "events",
    "pending_bytes": 99_999,
    "dropped": 3,
    "full_for": 2.5,
}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", ["phone", "desktop"])
@pytest.mark.parametrize("full", [False, True], ids=["empty", "full"])
def test_axe_finds_nothing(browser: Any, server: Monitored, full: bool, scheme: str, width: str) -> None:
    axe = node_module("axe-core/axe.min.js")
    viewport = {"width": 1280, "height": 800} if width == "desktop" else {"width": 360, "height": 740}
    with opened(browser, server.monitoring, color_scheme=scheme, viewport=viewport) as page:
        if full:
            # What a fleet would say, from what this server does.
            page.evaluate(
                """async (slow) => {
                    const headers = { Accept: "application/json" };
                    const found = await (await fetch("/status", { headers })).json();
                    const node = { ...found.nodes[0], engine_up: true, engine_round_trip: 0.0007 };
                    found.nodes = [node, { ...node, node: "other", engine_up: false, stopping: true }];
                    found.rooms = [{ room: "/" + "long".repeat(60), subscribers: 12345678, messages: 5 }];
                    found.clients = [slow];
                    found.missing = 1;
                    show(found);
                    const later = (node) => ({ ...node, at: node.at + 1, bytes_in: node.bytes_in + 1e9 });
                    show({ ...found, nodes: found.nodes.map(later) });
                }""",
                SLOW,
            )
            assert page.locator("#nodes tr").count() == 2
        page.evaluate(axe)
        found = page.evaluate("axe.run()")
        assert len(found["passes"]) > 15
        assert not found["violations"], json.dumps(found["violations"], indent=1)
        wider = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wider <= 0
