"""The page in a real browser: what a person sees of a room, and can do there."""

from __future__ import annotations

import json
import re
import socket
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from html import unescape
from typing import Any

import pytest
from helpers.browser import ServerProcess, chromium, node_module
from helpers.markdown import example
from helpers.raw_peer import TEXT, frame, request
from websockets.sync.client import connect

from trioecho.settings import Settings
from trioecho.web.page import Page

PATIENCE = 20_000
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
        # A server that has started again knows nothing of what was said before.
        page.get_by_text("Messages may be missing here, and nobody knows how many").wait_for()
        with connect(f"ws://{server.address}/room") as client:
            page.keyboard.press("Enter")
            assert client.recv(timeout=10) == "kept until it can be sent"


@contextmanager
def cut_off(page: Any) -> Iterator[None]:
    """Lose the page's connection, and let it come back at the end: a person need not wait for it."""
    page.evaluate("lost = connect; connect = () => {}; socket.close(3000)")
    page.locator("#state", has_text="Not connected").wait_for()
    yield
    page.evaluate("connect = lost; clearTimeout(retryTimer); connect()")
    wait_connected(page)


def test_what_was_said_while_it_was_away_is_shown_and_what_is_forgotten_is_counted(browser: Any) -> None:
    server = ServerProcess("--history", "5", "--history-bytes", "4000")
    with opened(browser, server) as page, connect(f"ws://{server.address}/room") as client:
        # What this page says itself is numbered too, and comes back to it after its last place.
        say(page, "mine")
        assert client.recv(timeout=10) == "mine"
        with cut_off(page):
            for number in range(3):
                client.send(f"while away {number}")
                client.ping().wait(10)
        shown(page, "while away 2")
        client.send("back again")
        shown(page, "back again")
        rows = page.locator("#log li .text").all_inner_texts()
        assert [row.removeprefix("you").strip() for row in rows] == [
            "mine",
            *[f"while away {number}" for number in range(3)],
            "back again",
        ]
        with cut_off(page):
            for number in range(25):
                client.send(f"later {number}")
                client.ping().wait(10)
        shown(page, "later 24")
        (gap,) = page.locator("#log .gap").all_inner_texts()
        missing = re.fullmatch("([0-9]+) messages are missing here.", gap.strip())
        assert missing
        rows = page.locator("#log li .text").all_inner_texts()[5:]
        assert rows == [f"later {number}" for number in range(int(missing[1]), 25)]
    server.stop()


def test_who_is_there_is_listed_where_there_are_names(browser: Any) -> None:
    server = ServerProcess("--token", "ada=9f3c2a7e51d04b68a1c5", "--token", "bo=8c1d0be2f7a94e35b6d2")
    context = browser.new_context()
    context.set_default_timeout(PATIENCE)
    try:
        page = context.new_page()
        page.goto(f"http://{server.address}/room")
        page.get_by_label("Token", exact=True).fill("9f3c2a7e51d04b68a1c5")
        page.keyboard.press("Enter")
        wait_connected(page)
        names = page.locator("#names")
        names.get_by_text("ada", exact=True).wait_for()
        url, headers = f"ws://{server.address}/room", {"Authorization": "Bearer 8c1d0be2f7a94e35b6d2"}
        with connect(url, additional_headers=headers), connect(url, additional_headers=headers):
            names.get_by_text("bo \u00d72", exact=True).wait_for()
            page.get_by_text("3 here").wait_for()
        names.get_by_text("bo").wait_for(state="detached")
        page.get_by_text("1 here").wait_for()
        assert names.locator("li").all_inner_texts() == ["ada"]
    finally:
        context.close()
        server.stop()


KEY = "a secret that is long enough for HS256, and known to the server only"


def signed(name: str, seconds: float) -> str:
    """A token that runs out in so many seconds."""
    jwt = pytest.importorskip("jwt", reason="needs PyJWT")
    token: str = jwt.encode({"sub": name, "exp": time.time() + seconds}, KEY, algorithm="HS256")
    return token


@pytest.fixture
def signing_server(tmp_path: Any) -> Iterator[ServerProcess]:
    key = tmp_path / "key"
    key.write_text(KEY)
    key.chmod(0o600)
    server = ServerProcess(
        "--jwt-key-file", str(key), "--jwt-algorithm", "HS256", "--token-cookie", "session"
    )
    yield server
    server.stop()


def test_when_its_token_has_run_out_it_asks_for_a_new_one_and_misses_nothing(
    browser: Any, signing_server: ServerProcess
) -> None:
    server, headers = signing_server, {"Authorization": f"Bearer {signed('bo', 3600)}"}
    context = browser.new_context()
    context.set_default_timeout(PATIENCE)
    try:
        page = context.new_page()
        page.goto(f"http://{server.address}/room")
        token = page.get_by_label("Token", exact=True)
        token.fill(signed("ada", 6))
        page.keyboard.press("Enter")
        wait_connected(page)
        with connect(f"ws://{server.address}/room", additional_headers=headers) as client:
            page.get_by_text("This token has expired.").wait_for()
            client.send("while it had none")
            client.ping().wait(10)
            token.fill(signed("ada", 3600))
            page.keyboard.press("Enter")
            wait_connected(page)
            shown(page, "while it had none")
    finally:
        context.close()


def test_when_its_cookie_was_renewed_it_comes_back_by_itself(
    browser: Any, signing_server: ServerProcess
) -> None:
    server = signing_server
    context = browser.new_context()
    context.set_default_timeout(PATIENCE)

    def renew(seconds: float) -> None:
        cookie = {"name": "session", "value": signed("ada", seconds), "url": f"http://{server.address}/"}
        context.add_cookies([cookie])

    try:
        renew(6)
        page = context.new_page()
        page.goto(f"http://{server.address}/room")
        wait_connected(page)
        renew(3600)
        page.get_by_text("Connected again.").wait_for()
        wait_connected(page)
        assert not page.get_by_label("Token", exact=True).is_visible()
    finally:
        context.close()


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


class Flood:
    """A client that sends so many messages a second until it has sent enough, and one more at the end."""

    def __init__(self, server: ServerProcess, per_second: int) -> None:
        self.sent = 0
        self._server = server
        self._per_second = per_second
        # A browser that has little of the processor would otherwise have minutes of a backlog to work off.
        self._most = 10 * per_second
        self._enough = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Flood:
        self._socket = socket.create_connection(("127.0.0.1", self._server.port), timeout=PATIENCE / 1000)
        self._socket.sendall(request(b"/room"))
        assert self._socket.recv(4096).startswith(b"HTTP/1.1 101 ")
        self._thread.start()
        return self

    def _run(self) -> None:
        began = time.monotonic()
        while not self._enough.wait(0.01):
            # What it is behind by is sent as one piece, but never more than a fifth of a second at once.
            due = int((time.monotonic() - began) * self._per_second) - self.sent
            count = min(due, self._per_second // 5, self._most - self.sent)
            texts = range(self.sent, self.sent + count)
            self._socket.sendall(b"".join([frame(TEXT, b"message %d" % number) for number in texts]))
            self.sent += count
        self._socket.sendall(frame(TEXT, b"the last one"))
        self.sent += 1

    def stop(self) -> None:
        self._enough.set()
        self._thread.join(PATIENCE / 1000)
        assert not self._thread.is_alive(), "the server has stopped reading"

    def __exit__(self, *exception: object) -> None:
        self._enough.set()
        self._thread.join(PATIENCE / 1000)
        self._socket.close()


def click_delays(page: Any, clicks: int) -> list[float]:
    """Click so often, and return how long the page took each time to show it (milliseconds)."""
    page.evaluate("window.delays = []")
    for click in range(1, clicks + 1):
        page.locator("summary").click()
        page.wait_for_function("count => delays.length >= count", arg=click)
    found: list[float] = page.evaluate("delays")
    return found


def test_five_thousand_messages_a_second_do_not_freeze_it(browser: Any) -> None:
    # On a busy machine the page may be slow, but that is not for the server to judge here.
    server = ServerProcess("--stall-limit", "60")
    with opened(browser, server) as page:
        page.evaluate(
            """() => {
                addEventListener("click", (event) => requestAnimationFrame(() => setTimeout(() =>
                    delays.push(performance.now() - event.timeStamp))), true);
            }"""
        )
        calm = statistics.median(click_delays(page, 5))
        with Flood(server, 5_000) as flood:
            page.locator("#sampling", has_text="this is a sample").wait_for()
            # The median, because other processes take the processor now and then.
            assert statistics.median(click_delays(page, 5)) < max(200, 5 * calm)
            flood.stop()
        page.locator("#log").get_by_text("the last one", exact=True).first.wait_for(timeout=6 * PATIENCE)
        page.get_by_text(f"{flood.sent:,} in all").wait_for()
        page.locator("#sampling").wait_for(state="hidden")
        assert flood.sent > 1_000
        assert 500 <= page.locator("#log li:not(.note)").count() <= 1_000
        _assert_every_message_is_accounted_for(page, flood.sent)
    server.stop()


def _assert_every_message_is_accounted_for(page: Any, sent: int) -> None:
    """Where the log leaves messages out it says how many: with those it adds up to the next number."""
    rows = page.evaluate(
        "[...document.querySelectorAll('#log li')].map(row => (row.querySelector('.text') || row).innerText)"
    )
    following: int | None = None
    for text in rows:
        if left_out := re.fullmatch("([0-9,]+) messages? left out here", text):
            if following is not None:
                following += int(left_out[1].replace(",", ""))
        elif number := re.fullmatch("message ([0-9]+)", text):
            assert following in (None, int(number[1])), rows
            following = int(number[1]) + 1
    assert text == "the last one" and following == sent - 1


def test_its_policy_lets_nothing_run_that_is_not_its_own(browser: Any, server: ServerProcess) -> None:
    headers = dict(Page().response("/room", Settings()).headers)
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
    html = Page().response("/room", Settings()).body.decode()
    assert not re.findall(r'(?:src|href|action)="(?!data:)', html)
    assert re.findall(r"https?://[^'\"]+", html) == ["http://www.w3.org/2000/svg"]


def test_several_lines_are_one_message(browser: Any, server: ServerProcess) -> None:
    with opened(browser, server) as page, connect(f"ws://{server.address}/room") as client:
        field = page.get_by_label("Message", exact=True)
        low = field.bounding_box()["height"]
        field.press_sequentially("one")
        page.keyboard.press("Shift+Enter")
        field.press_sequentially("two")
        page.keyboard.press("Shift+Enter")
        assert field.bounding_box()["height"] > low
        page.keyboard.press("Enter")
        assert client.recv(timeout=10) == "one\ntwo\n"
        assert field.input_value() == "" and field.bounding_box()["height"] == low
        shown(page, "one\ntwo\n")


def test_a_message_too_large_for_the_server_is_kept_and_the_person_told(browser: Any) -> None:
    server = ServerProcess("--max-message-size", "10")
    with opened(browser, server) as page, connect(f"ws://{server.address}/room") as client:
        say(page, "eleven: é 7")
        page.get_by_text("Not sent: the server takes messages of at most 10 bytes.").wait_for()
        say(page, "ten: é 789"[:9])
        assert client.recv(timeout=10) == "ten: é 78"
    server.stop()


LINKS = {
    "see https://example.com/a?b=c#d.": ["https://example.com/a?b=c#d"],
    "(http://example.com/x), HTTPS://EXAMPLE.com!": ["http://example.com/x", "https://example.com/"],
    "https://en.wikipedia.org/wiki/Room_(disambiguation)": [
        "https://en.wikipedia.org/wiki/Room_(disambiguation)"
    ],
    "javascript:alert(1) data:text/html,x ftp://example.com ws://x https:// xhttps://example.com": [],
    "<a href='https://example.com/\"onclick=x'>": ["https://example.com/"],
}


def test_web_addresses_in_messages_are_links_and_nothing_else_is(browser: Any, server: ServerProcess) -> None:
    with opened(browser, server) as page, connect(f"ws://{server.address}/room") as client:
        for text, links in LINKS.items():
            client.send(text)
            row = page.locator("#log .text").filter(has_text=text).last
            row.wait_for()
            assert row.inner_text() == text
            found = row.locator("a").evaluate_all("all => all.map(a => [a.href, a.rel, a.target])")
            assert found == [[link, "noopener noreferrer", "_blank"] for link in links]


def test_it_needs_no_other_way_into_the_room(browser: Any) -> None:
    server = ServerProcess("--no-stats", "--no-events", "--no-metrics", "--no-health")
    with opened(browser, server) as page, connect(f"ws://{server.address}/room") as client:
        say(page, "hello")
        assert client.recv(timeout=10) == "hello"
        assert page.locator("#log .mine").all_inner_texts()[0].endswith("hello")
        page.get_by_text("Other ways into this room").click()
        assert page.locator("dt").all_inner_texts() == ["Talk", "Publish"]
        assert page.locator("#here").inner_text() == ""
    assert "refused" not in server.stop()


def test_it_shows_a_token_in_its_commands_only_where_one_is_needed(
    browser: Any, server: ServerProcess
) -> None:
    with opened(browser, server) as page:
        page.get_by_text("Other ways into this room").click()
        assert page.locator("dt").all_inner_texts() == ["Talk", "Listen", "Publish", "Count"]
        assert "Bearer" not in page.locator("#ways").inner_text()


def test_what_is_echoed_is_shown_once(browser: Any) -> None:
    server = ServerProcess("--to", "everyone")
    with opened(browser, server) as page:
        say(page, "hello")
        shown(page, "hello")
        say(page, "that is all")
        shown(page, "that is all")
        assert page.locator("#log li").count() == 2
    server.stop()


def test_it_asks_for_a_token_where_one_is_needed_and_keeps_it_for_the_tab(browser: Any) -> None:
    server = ServerProcess("--token", "ada=9f3c2a7e51d04b68a1c5")
    try:
        context = browser.new_context()
        context.set_default_timeout(PATIENCE)
        page = context.new_page()
        page.goto(f"http://{server.address}/room")
        token = page.get_by_label("Token", exact=True)
        token.fill("no token")
        page.keyboard.press("Enter")
        page.get_by_text("This is no token that a browser can send").wait_for()
        token.fill("a-wrong-one")
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


def test_a_browser_that_offers_subprotocols_is_connected(browser: Any, server: ServerProcess) -> None:
    with opened(browser, server) as page:
        ended = page.evaluate(
            """() => new Promise((resolve) => {
                const socket = new WebSocket("ws://" + location.host + "/room", ["x", "y"]);
                socket.onopen = () => resolve(socket.protocol);
                socket.onclose = (event) => resolve(event.code);
            })"""
        )
        assert ended == "x"


def test_the_manuals_list_of_members_is_kept_in_a_browser(browser: Any, server: ServerProcess) -> None:
    script = example("presence", "Keep a list of who is in a room").replace("127.0.0.1:7890", server.address)
    with opened(browser, server) as page:
        lines: list[str] = []
        page.on("console", lambda line: lines.append(line.text))

        def wait_for(expected: str) -> None:
            deadline = time.monotonic() + PATIENCE / 1000
            while not lines or lines[-1] != expected:
                assert time.monotonic() < deadline, lines
                page.wait_for_timeout(50)

        page.evaluate(f"() => {{ {script} }}")
        wait_for(" and 1 more")
        with connect(f"ws://{server.address}/news"):
            wait_for(" and 2 more")
        wait_for(" and 1 more")


@pytest.mark.parametrize("width", ["desktop", "phone"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("messages", [False, True])
def test_axe_finds_nothing(
    browser: Any, server: ServerProcess, messages: bool, scheme: str, width: str
) -> None:
    axe = node_module("axe-core/axe.min.js")
    viewport = {"width": 1280, "height": 800} if width == "desktop" else {"width": 360, "height": 740}
    with opened(browser, server, color_scheme=scheme, viewport=viewport) as page:
        if messages:
            with connect(f"ws://{server.address}/room") as client:
                for message in ("hello", "see https://example.com/", b"\x01\x02", "", "x" * 5_000):
                    client.send(message)
                page.get_by_text("and 1,000 characters more").wait_for()
            say(page, "hello yourself")
            page.evaluate("leaveOut(12)")
            page.evaluate("note('Connection lost.')")
            page.evaluate("missing(17)")
            page.evaluate("takePresence({ named: 1, unnamed: 2, here: [{ id: '1', name: 'ada' }] })")
            page.get_by_text("Other ways into this room").click()
        page.evaluate(axe)
        found = page.evaluate("axe.run()")
        assert len(found["passes"]) > 20
        assert not found["violations"], json.dumps(found["violations"], indent=1)


def test_the_page_is_told_about_its_room_in_an_attribute_that_nothing_breaks_out_of() -> None:
    page, room = Page(), "/\"><script>alert('1')</script>&quot;"
    body = page.response(
        room, Settings(token={"ada": "secret"}, public_url="wss://chat.example/x/")
    ).body.decode()
    (facts,) = re.findall('data-facts="([^"]*)"', body)
    told = json.loads(unescape(facts))
    assert told["room"] == room and told["token"] is True
    assert told["address"].startswith("https://chat.example/x/%22%3E%3Cscript%3E")
    assert body.count("<script>") == 1 and "secret" not in body


def test_it_keeps_the_latest_thousand_and_says_how_many_were_before(
    browser: Any, server: ServerProcess
) -> None:
    with opened(browser, server) as page:
        page.evaluate(
            """() => {
                for (let count = 0; count < 1002; count++) add([row({ data: `row ${count}`, at: 0 })]);
                for (let count = 0; count < 5; count++) note("a note");
            }"""
        )
        rows = page.locator("#log li").all_inner_texts()
        assert rows[0] == "2 older messages are no longer shown"
        assert rows[1].endswith("row 2") and len(rows) == 1 + 1_000 + 5
