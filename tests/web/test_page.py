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
from helpers.browser import ServerProcess, chromium
from websockets.sync.client import connect

from trioecho.web.page import load_page

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
                while count < (time.perf_counter() - began) * per_second:
                    client.send(f"message {count}")
                    count += 1
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
        page.locator("#sampling", has_text="this is a sample").wait_for()
        try:
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
        page.get_by_text("messages were not shown").wait_for()
        assert page.locator("#log li").count() <= 400


def test_its_policy_lets_nothing_run_that_is_not_its_own(browser: Any, server: ServerProcess) -> None:
    headers = dict(load_page().headers)
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
    html = load_page().body.decode()
    assert not re.findall(r'(?:src|href|action)="(?!data:)', html)
    assert re.findall(r"https?://[^'\"]+", html) == ["http://www.w3.org/2000/svg"]
