"""The page in a real browser: what a person sees of a room, and can do there."""

from __future__ import annotations

import re
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from helpers.browser import ServerProcess, chromium, node_module
from websockets.sync.client import connect

from trioecho.http.response import Response
from trioecho.settings import Settings
from trioecho.web.page import Page

PATIENCE = 10_000
"""How long the page may take to show something (milliseconds) before that counts as never."""

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")
"""Playwright leaves its pipes to the garbage collector."""

browser = pytest.fixture(scope="module")(chromium)


@pytest.fixture
def server() -> Iterator[ServerProcess]:
    server = ServerProcess()
    yield server
    server.stop()


@contextmanager
def opened(browser: Any, server: ServerProcess, room: str = "/room", **options: Any) -> Iterator[Any]:
    """A page of the room, connected, that logs no error until it is closed."""
    context = browser.new_context(**options)
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda line: errors.append(line.text) if "Security Policy" in line.text else None)
    try:
        page.goto(f"http://{server.address}{room}")
        wait_connected(page)
        yield page
        assert not errors
    finally:
        context.close()


def the_page() -> Response:
    return Page().response("/room", Settings())


def wait_connected(page: Any) -> None:
    page.locator("#state", has_text=re.compile("^Connected$")).wait_for()


def say(page: Any, text: str) -> None:
    page.get_by_label("Message", exact=True).fill(text)
    page.keyboard.press("Enter")


def shown(page: Any, text: str) -> Any:
    """Wait for a row of the log with exactly this text, and return it."""
    row = page.locator("#log").get_by_text(text, exact=True).first
    row.wait_for()
    return row


def test_two_pages_talk_and_count_each_other(browser: Any, server: ServerProcess) -> None:
    with opened(browser, server) as one, opened(browser, server, color_scheme="dark") as other:
        say(one, "hello")
        shown(other, "hello")
        say(other, "hello yourself")
        shown(one, "hello yourself")
        # Each sees what it said itself, because the server sends it to the others only.
        assert one.locator("#log .mine").all_inner_texts()[0].endswith("hello")
        one.reload()
        one.get_by_text("2 here").wait_for()


def test_a_message_is_shown_as_text_whatever_is_in_it(browser: Any, server: ServerProcess) -> None:
    with opened(browser, server) as page, connect(f"ws://{server.address}/room") as client:
        html = "<img src=x onerror=\"document.body.textContent='broken'\"><script>alert(1)</script>"
        client.send(html)
        shown(page, html)
        assert page.locator("#log img, #log script").count() == 0
        client.send(bytes(range(50)))
        row = page.locator("#log .text", has_text="binary, 50 bytes")
        row.wait_for()
        assert re.search("00 01 02 03 .* 2e 2f …$", row.inner_text())
        client.send("")
        page.get_by_text("an empty message").wait_for()
        client.send("x" * 10_000)
        page.get_by_text("and 6,000 characters more").wait_for()


def test_it_comes_back_by_itself_when_the_server_does(browser: Any, server: ServerProcess) -> None:
    with opened(browser, server) as page:
        server.stop()
        page.locator("#state", has_text="Not connected, trying again in").wait_for()
        page.get_by_text("Connection lost: the server is shutting down.").wait_for()
        say(page, "kept until it can be sent")
        assert page.get_by_label("Message", exact=True).input_value() == "kept until it can be sent"
        server.start()
        wait_connected(page)
        page.get_by_text("Connected again.").wait_for()
        with connect(f"ws://{server.address}/room") as client:
            page.keyboard.press("Enter")
            assert client.recv(timeout=10) == "kept until it can be sent"


def test_it_goes_to_another_room_by_its_name(browser: Any, server: ServerProcess) -> None:
    with opened(browser, server) as page, connect(f"ws://{server.address}/a/%C3%A9%20%3F%23b") as client:
        page.get_by_label("Room", exact=True).fill("a/é ?#b")
        page.keyboard.press("Enter")
        page.wait_for_url("**/a/%C3%A9%20%3F%23b")
        page.get_by_text("2 here").wait_for()
        assert page.get_by_label("Room", exact=True).input_value() == "/a/é ?#b"
        say(page, "here")
        assert client.recv(timeout=10) == "here"


def test_it_is_used_by_keyboard_alone_and_says_what_its_parts_are(
    browser: Any, server: ServerProcess
) -> None:
    with opened(browser, server) as page:
        assert page.evaluate("document.activeElement.id") == "text"
        names = []
        for _ in range(6):
            page.keyboard.press("Shift+Tab")
            names.append(page.evaluate("document.activeElement.id || document.activeElement.innerText"))
        assert {"log", "Go", "room"} <= set(names)
        seen = page.locator("body").aria_snapshot()
        for part in ('textbox "Message"', 'textbox "Room"', 'button "Send"', 'button "Go"', "log", "status"):
            assert part in seen, seen


def test_five_thousand_messages_a_second_do_not_freeze_it(browser: Any, server: ServerProcess) -> None:
    per_second = 5_000
    enough = threading.Event()
    sent: list[int] = []

    def load() -> None:
        with connect(f"ws://{server.address}/room") as client:
            began, count = time.perf_counter(), 0
            while not enough.is_set():
                # A machine with no time for so many sends fewer, and goes on in time when it is told to stop.
                due = min(int((time.perf_counter() - began) * per_second), count + per_second // 10)
                for number in range(count, due):
                    client.send(f"message {number}")
                count = due
                time.sleep(0.002)
            client.send("the last one")
        sent.append(count + 1)

    with opened(browser, server) as page:
        page.evaluate(
            """() => {
                window.delays = [];
                addEventListener("click", (event) => requestAnimationFrame(() => setTimeout(() =>
                    delays.push(performance.now() - event.timeStamp))), true);
            }"""
        )
        loading = threading.Thread(target=load)
        loading.start()
        try:
            page.locator("#sampling", has_text="this is a sample").wait_for()
            for clicks in range(1, 6):
                page.locator("summary").click()
                page.wait_for_function("count => delays.length >= count", arg=clicks)
        finally:
            enough.set()
            loading.join()
        delays = page.evaluate("delays")
        # The median, because the other tests that run beside this one take the processor now and then.
        assert statistics.median(delays) < 200, delays
        shown(page, "the last one")
        page.get_by_text(f"{sent[0]:,} in all").wait_for()
        left_out = page.locator("#log li.note", has_text="messages left out here")
        rows = page.locator("#log li").count()
        assert left_out.count() >= 1 and rows <= 600
        # Each gap is told at its place: what is shown on both sides of it and what it says add up.
        sides = page.evaluate(
            """() => [...document.querySelectorAll("#log li.note")].slice(1).map((gap) => [
                gap.previousElementSibling, gap, gap.nextElementSibling].map((row) => row.textContent))"""
        )
        for before, gap, after in sides:
            first, last = (int(re.search(r"message (\d+)$", row)[1]) for row in (before, after))  # type: ignore[index]
            assert int(re.sub(r"\D", "", gap)) == last - first - 1


def test_enter_sends_and_shift_enter_begins_a_line(browser: Any, server: ServerProcess) -> None:
    with opened(browser, server) as page, connect(f"ws://{server.address}/room") as client:
        page.keyboard.type("one")
        page.keyboard.press("Shift+Enter")
        page.keyboard.type("two")
        page.keyboard.press("Enter")
        assert client.recv(timeout=10) == "one\ntwo"
        assert page.get_by_label("Message", exact=True).input_value() == ""


def test_links_can_be_clicked_if_they_are_http(browser: Any, server: ServerProcess) -> None:
    with opened(browser, server) as page, connect(f"ws://{server.address}/room") as client:
        client.send("see https://example.org/a?b=1&c=(d). javascript:alert(1) ftp://x (http://two.test/)!")
        shown(page, "https://example.org/a?b=1&c=(d")
        links = page.evaluate(
            "[...document.querySelectorAll('#log a')].map((a) => [a.href, a.rel, a.textContent])"
        )
        assert links == [
            ["https://example.org/a?b=1&c=(d", "noopener noreferrer", "https://example.org/a?b=1&c=(d"],
            ["http://two.test/", "noopener noreferrer", "http://two.test/"],
        ]


def test_it_needs_no_option_but_its_own(browser: Any) -> None:
    server = ServerProcess("--no-stats", "--no-events", "--no-health", "--no-metrics")
    try:
        with opened(browser, server, "/room") as page:
            say(page, "mine")
            row = shown(page, "mine")
            assert "mine" in row.inner_text()
            page.locator("summary").click()
            assert page.locator("dt").all_inner_texts() == ["Talk", "Publish"]
            page.wait_for_timeout(6_000)  # longer than between two requests for stats
    finally:
        log = server.stop()
    assert "refused" not in log


def test_it_asks_for_a_token_where_one_is_needed_and_keeps_it_for_the_tab(browser: Any) -> None:
    server = ServerProcess("--token", "ada=9f3c2a7e51d04b68a1c5")
    try:
        context = browser.new_context()
        context.set_default_timeout(PATIENCE)
        page = context.new_page()
        page.goto(f"http://{server.address}/room")
        token = page.get_by_label("Token", exact=True)
        token.fill("a wrong one")
        page.keyboard.press("Enter")
        page.get_by_text("This token is not known here.").wait_for()
        token.fill("9f3c2a7e51d04b68a1c5")
        page.keyboard.press("Enter")
        wait_connected(page)
        assert not token.is_visible()
        page.reload()
        wait_connected(page)
        page.get_by_text("1 here").wait_for()
        context.close()
    finally:
        log = server.stop()
    assert "9f3c2a7e51d04b68a1c5" not in log


def test_a_browser_that_offers_a_subprotocol_gets_it(browser: Any, server: ServerProcess) -> None:
    with opened(browser, server) as page:
        chosen = page.evaluate(
            """() => new Promise((resolve) => {
                const socket = new WebSocket(location.href.replace(/^http/, "ws"), ["x", "y"]);
                socket.onopen = () => resolve(socket.protocol);
                socket.onclose = (event) => resolve(event.code);
            })"""
        )
        assert chosen == "x"


@pytest.mark.parametrize("said", [False, True], ids=["empty", "with messages"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1200, 360], ids=["desktop", "phone"])
def test_axe_finds_nothing(browser: Any, server: ServerProcess, width: int, scheme: str, said: bool) -> None:
    axe = node_module("axe-core/axe.min.js")
    options: Any = {"color_scheme": scheme, "viewport": {"width": width, "height": 800}, "bypass_csp": True}
    with opened(browser, server, **options) as page, connect(f"ws://{server.address}/room") as client:
        if said:
            client.send("a message with https://example.org/ in it")
            client.send(b"\x00\x01")
            shown(page, "https://example.org/")
            say(page, "mine")
            shown(page, "mine")
            page.locator("summary").click()
        page.evaluate("source => { (0, eval)(source); }", axe)
        found = page.evaluate("axe.run().then((results) => results.violations)")
        assert not found, [(each["id"], each["help"], each["nodes"][0]["html"]) for each in found]


def test_its_policy_lets_nothing_run_that_is_not_its_own(browser: Any, server: ServerProcess) -> None:
    headers = dict(the_page().headers)
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy and "*" not in policy
    with opened(browser, server) as page:
        page.on("console", lambda line: None)
        ran = page.evaluate(
            """() => new Promise((resolve) => {
                addEventListener("securitypolicyviolation", (event) => resolve(event.effectiveDirective));
                const script = document.createElement("script");
                try { script.text = "document.title = 'ran'"; } catch { resolve("trusted-types"); }
                document.body.append(script);
            })"""
        )
        assert ran in ("require-trusted-types-for", "trusted-types", "script-src-elem")
        assert page.title() != "ran"


def test_it_loads_nothing_from_elsewhere() -> None:
    html = the_page().body.decode()
    assert not re.findall(r'(?:src|href|action)="(?!data:)', html)
    assert re.findall(r"https?://[^'\"]+", html) == ["http://www.w3.org/2000/svg"]
