"""
What the manual's pages about deploying and security show, run as it stands there: units, proxies, a log.

Only addresses and paths are put in place of those that nobody could serve here.
"""

from __future__ import annotations

import json
import re
import sys
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import trio
from helpers.browser import free_port
from helpers.deployed import BEARER, NGINX, Files, close_code, entry, help_by_name, needs, path_of, run
from helpers.examples import HERE, PORT, ExampleTests, once_there
from helpers.http_client import fetch
from helpers.markdown import Example, example
from helpers.raw_peer import Peer, request
from helpers.shell import Shell, substituted
from trio_websocket import open_websocket_url

import trioecho

DEPLOYING = ExampleTests(["deploying", "security"])

STRANGERS = "Serve on all addresses, over TLS, to those who have a token"


@DEPLOYING.test(STRANGERS, "Serve strangers: all addresses, TLS, and tokens")
async def among_strangers(script: str, folder: Path) -> None:
    files, port = Files(folder), free_port()
    places = [("0.0.0.0", HERE), ("--port 443", f"--port {port} --log-format json")]
    changed = substituted(script, places).replace("/etc/trioecho", str(folder))
    changed = changed.replace(f"{HERE}:9100", f"{HERE}:{free_port()}")
    async with run(changed, folder) as (server, _):
        url, context = f"wss://localhost:{port}/news", files.trusting()
        async with trioecho.open_client(url, ssl_context=context, headers=BEARER) as one:
            assert (await entry(server, "connected"))["name"] == "ada"
            async with trioecho.open_client(url, ssl_context=context, headers=BEARER) as other:
                await one.send("among us")
                assert await other.receive() == "among us"
        with pytest.raises(trioecho.client.Rejected):
            async with trioecho.open_client(url, ssl_context=context):
                pass


@DEPLOYING.test("Configure the server without a command line")
async def configure(script: str, folder: Path) -> None:
    async with run(script, folder, TRIOECHO_PORT="0") as (_, line):
        entry = json.loads(line)
        assert entry["event"] == "listening"
        stats = await fetch(entry["url"], headers={"Accept": "application/json"})
        assert stats.value["when_slow"] == "disconnect"


# systemd.


UNITS = ("/etc/systemd/system/trioecho.socket", "/etc/systemd/system/trioecho.service")


@DEPLOYING.test(*UNITS)
async def units(_: str, folder: Path) -> None:
    analyze = path_of("systemd-analyze")
    program = folder / "trioecho"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    for title in UNITS:
        unit = example("deploying", title)
        (folder / Path(title).name).write_text(unit.replace("/opt/trioecho/bin/trioecho", str(program)))
    names = [str(folder / Path(title).name) for title in UNITS]
    code, said = await Shell(folder).run(f"{analyze} verify {' '.join(names)} 2>&1")
    # It looks at every unit of the machine that these lead to; what it says of others is not about them.
    assert (code, [line for line in said.splitlines() if "trioecho" in line]) == (0, [])


def service(name: str) -> list[str]:
    """Return the values of a line in the service's unit."""
    return re.findall(rf"^{name}=(.*)$", example("deploying", UNITS[1]), re.M)


@needs("systemd-socket-activate", "systemd")
async def test_the_unit_serves_the_socket_that_systemd_hands_over(tmp_path: Path) -> None:
    activate = path_of("systemd-socket-activate")
    files, port = Files(tmp_path), free_port()
    (command,) = service("ExecStart")
    variables = dict(value.split("=", 1) for value in service("Environment"))
    assert set(variables) >= {"TRIOECHO_TOKEN_FILE", "TRIOECHO_TLS_CERT", "TRIOECHO_TLS_KEY"}
    changed = {name: value.replace("/etc/trioecho", str(tmp_path)) for name, value in variables.items()}
    shell = Shell(tmp_path, **changed)
    passed = " ".join(f"-E {name}" for name in [*changed, "PYTHONPATH", "PATH"])
    line = substituted(command, [("/opt/trioecho/bin/trioecho", str(tmp_path / "bin" / "trioecho"))])
    with trio.fail_after(20):
        async with shell.start(f"exec 2>&1\nexec {activate} -l {HERE}:{port} {passed} {line}") as server:
            assert "Listening on" in await server.line()
            url = f"wss://localhost:{port}/"
            async with trioecho.open_client(url, ssl_context=files.trusting(), headers=BEARER) as client:
                while not (said := await server.line()).startswith("{"):
                    pass
                assert json.loads(said)["url"] == f"wss://{HERE}:{port}/"
                await client.ping()
                assert service("ExecReload") == ["/bin/kill -HUP $MAINPID"]
                await trio.run_process(["/bin/kill", "-HUP", str(server.process.pid)])
                await entry(server, "reloaded")
                await client.ping()
            server.process.terminate()
            assert (await server.end())[0] == 0


# Proxies.

MANY = 5
"""As many connections as are allowed to a server that is to be full."""


@DEPLOYING.test(
    "Within http { }: what a WebSocket needs in its Connection header",
    "Within server { }: the rooms under /chat/",
    "The server behind nginx",
)
async def behind_nginx(_: str, folder: Path) -> None:
    """All parts at once, because none does anything without the others."""
    nginx = path_of("nginx")
    # Started by root, nginx gives its workers away to a user who must get in here.
    await trio.Path(folder).chmod(0o755)
    http, server = [each.code for each in DEPLOYING.examples if each.language == "nginx"]
    upstream, port = free_port(), free_port()
    server = substituted(server, [(PORT, f"{HERE}:{upstream}")])
    file = folder / "nginx.conf"
    file.write_text(NGINX.format(folder=folder, port=port, http=http, server=server))
    changed = f"{example('deploying', 'The server behind nginx')} --port {upstream} --log-format json"
    async with run(changed, folder) as (behind, line), trio.open_nursery() as nursery:
        assert json.loads(line)["page"] == "https://example.org/chat/"
        await nursery.start(trio.run_process, [nginx, "-c", str(file), "-p", str(folder), "-e", "stderr"])
        await once_there(port)
        url, address = f"ws://{HERE}:{port}/chat/news", f"http://{HERE}:{port}"
        asked = {"Host": "example.org"}
        # Somebody who is not the proxy, and says they are yet somebody else.
        away = await trio.open_tcp_stream(HERE, port, local_address="127.0.0.2")
        async with away:
            lie = {b"X-Forwarded-For": b"192.0.2.1", b"Forwarded": b"for=192.0.2.2"}
            await Peer(away).shake_hands(request(b"/chat/news", headers=lie))
            assert (await entry(behind, "connected"))["address"] == "127.0.0.2"
        async with open_websocket_url(url) as one, open_websocket_url(url) as other:
            await one.send_message("over nginx")
            assert await other.get_message() == "over nginx"
            headers = {**asked, "Content-Type": "text/plain"}
            answer = await fetch(address, "/chat/news", method="POST", body=b"posted", headers=headers)
            assert answer.status == 202
            assert await one.get_message() == "posted"
        html = await fetch(address, "/chat/news", headers={**asked, "Accept": "text/html"})
        assert html.text.startswith("<!doctype html>")
        assert (await fetch(address, "/chat/", headers={"Host": "elsewhere.example"})).status == 200
        stats = {"Host": "elsewhere.example", "Accept": "application/json"}
        assert (await fetch(address, "/chat/", headers=stats)).status == 403
        nursery.cancel_scope.cancel()


@DEPLOYING.test("/etc/haproxy/haproxy.cfg", "The server behind HAProxy")
async def behind_haproxy(_: str, folder: Path) -> None:
    haproxy = path_of("haproxy")
    files, upstream, port, metrics = Files(folder), free_port(), free_port(), free_port()
    (folder / "both.pem").write_bytes(files.cert.read_bytes() + files.key.read_bytes())
    places = [
        (":443 ", f"{HERE}:{port} "),
        ("/etc/haproxy/example.org.pem", f"{folder}/both.pem"),
        (PORT, f"{HERE}:{upstream}"),
        ("port 9100 inter 2s", f"port {metrics} inter 100ms"),
    ]
    config = substituted(example("deploying", "/etc/haproxy/haproxy.cfg"), places)
    logged = config.replace("    mode http\n", "    mode http\n    log stdout format raw local0\n")
    (folder / "h.cfg").write_text(logged)
    script = substituted(
        example("deploying", "The server behind HAProxy"),
        [(f"{HERE}:9100", f"{HERE}:{metrics}"), ("--drain 20", "--drain 1")],
    )
    context = files.trusting()
    async with Shell(folder).start(f"exec {haproxy} -db -f {folder}/h.cfg 2>&1") as proxy:
        options = f"--port {upstream} --log-format json --max-connections {MANY}"
        async with run(f"{script} {options}", folder) as (behind, _line):
            while "is UP" not in await proxy.line():
                pass  # It came before the server, and says so.
            url = f"wss://localhost:{port}/news"
            away = await trio.open_tcp_stream(HERE, port, local_address="127.0.0.2")
            async with away:
                await trio.SSLStream(away, context, server_hostname="localhost").send_all(request(b"/news"))
                assert (await entry(behind, "connected"))["address"].startswith("127.0.0.2:")
            async with trioecho.open_client(url, ssl_context=context) as one:
                async with trioecho.open_client(url, ssl_context=context) as other:
                    await one.send("over HAProxy")
                    assert await other.receive() == "over HAProxy"
            async with AsyncExitStack() as crowd:
                for _client in range(MANY):
                    await crowd.enter_async_context(trioecho.open_client(url, ssl_context=context))
                while "is DOWN" not in (line := await proxy.line()):
                    pass
                assert "code: 503" in line
            while "is UP" not in await proxy.line():
                pass
            help = await help_by_name(files, port)
            assert "wss://example.org" in help
            # The client who is there stays a while after HAProxy has been told: that is what --drain is for.
            async with (
                trioecho.open_client(url, ssl_context=context) as first,
                trioecho.open_client(url, ssl_context=context) as second,
            ):
                behind.interrupt()
                while "is DOWN" not in await proxy.line():
                    pass
                codes = {await close_code(first), await close_code(second)}
            assert codes == {1012}
            await behind.process.wait()
        proxy.process.terminate()
        await proxy.end()


# Logs, and limits of the system.


LOG_EXAMPLES = ("Log JSON to a file", "/etc/logrotate.d/trioecho")


@DEPLOYING.test(*LOG_EXAMPLES)
async def rotated_log(_: str, folder: Path) -> None:
    logrotate = path_of("logrotate")
    server, rotation = [example("deploying", title) for title in LOG_EXAMPLES]
    port = free_port()
    log = folder / "trioecho.log"
    (folder / "l.conf").write_text(rotation.replace("/var/log/trioecho.log", str(log)))
    (folder / "l.conf").chmod(0o644)
    place = [("/var/log/trioecho.log", str(log)), ("trioecho serve", f"exec trioecho serve --port {port}")]
    async with Shell(folder).start(substituted(server, place)) as running:
        await once_there(port)
        async with open_websocket_url(f"ws://{HERE}:{port}/before"):
            pass
        while True:  # or the line may come when the file is empty again
            if '"disconnected"' in log.read_text():
                break
            await trio.sleep(0.01)
        command = [logrotate, "--force", "--state", str(folder / "state"), str(folder / "l.conf")]
        await trio.run_process(command)
        assert log.stat().st_size == 0 and (folder / "trioecho.log.1.gz").exists()
        async with open_websocket_url(f"ws://{HERE}:{port}/after"):
            pass
        running.process.terminate()
        assert (await running.end())[0] == 0
    # Nothing of before, and no gap of zero bytes where it was.
    entries = [json.loads(line) for line in log.read_bytes().splitlines()]
    assert {each.get("room") for each in entries} == {"/after", None}


@DEPLOYING.test("/etc/sysctl.d/trioecho.conf")
async def limits_of_the_system(settings: str, folder: Path) -> None:
    if sys.platform != "linux":
        pytest.skip("needs Linux")
    pairs = re.findall(r"^([a-z0-9_.]+) = ([\d ]+)$", settings, re.M)
    assert len(pairs) == len(settings.strip().splitlines()) - 1
    for name, value in pairs:
        if "nf_conntrack" not in name:  # only there while the module is loaded
            file = trio.Path("/proc/sys", *name.split("."))
            assert len((await file.read_text()).split()) == len(value.split())


def test_every_example_has_a_test() -> None:
    DEPLOYING.check()


async def test_the_page_about_security_serves_strangers_likewise(tmp_path: Path) -> None:
    (found,) = [each for each in DEPLOYING.examples if each.page == "security"]
    await DEPLOYING.run(found, tmp_path)


NEEDED = {
    UNITS[0]: [needs("systemd-analyze", "systemd")],
    "Within http { }: what a WebSocket needs in its Connection header": [needs("nginx", "nginx-light")],
    "/etc/haproxy/haproxy.cfg": [needs("haproxy")],
    LOG_EXAMPLES[0]: [needs("logrotate")],
}


@pytest.mark.parametrize(
    "example",
    [pytest.param(each, marks=NEEDED.get(each.title, []), id=str(each)) for each in DEPLOYING.once()],
)
async def test_an_example_does_what_it_says(example: Example, tmp_path: Path) -> None:
    await DEPLOYING.run(example, tmp_path)
