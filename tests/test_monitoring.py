"""What the manual's page about monitoring shows: dashboard and alerts against what a server exports."""

from __future__ import annotations

import json
import re
import shlex
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
from helpers.browser import free_port
from helpers.deployed import needs, path_of, run
from helpers.engine_server import engine_server
from helpers.examples import HERE, ExampleTests, once_there
from helpers.http_client import fetch
from helpers.markdown import MANUAL, Example, example
from helpers.pty_terminal import watch
from helpers.raw_peer import TEXT, Peer, frame, joined
from helpers.server import Serving, serving
from helpers.shell import Shell, substituted
from prometheus_client.parser import text_string_to_metric_families as parse

yaml = pytest.importorskip("yaml", reason="needs PyYAML: pip install PyYAML")

MONITORING = ExampleTests(["monitoring"])

DASHBOARD: dict[str, Any] = json.loads((MANUAL / "grafana.json").read_text())

ALERTS = (MANUAL / "alerts.yml").read_text()

AT_A_SCRAPE = {"instance", "job"}
"""Labels that Prometheus itself adds."""

SELECTOR = re.compile(r"\b(up|(?:trioecho|process)_\w+)(?:\{([^}]*)\})?")
LABEL = re.compile(r'(\w+)(?:=~|=)"([^"]*)"')


def panels() -> Iterator[tuple[str, str]]:
    """Return each query of the dashboard, and the title of its panel."""
    for panel in DASHBOARD["panels"]:
        for target in panel["targets"]:
            yield panel["title"], target["expr"]


def rules() -> dict[str, str]:
    """Return each alert's query, by its name."""
    (group,) = yaml.safe_load(ALERTS)["groups"]
    return {rule["alert"]: rule["expr"] for rule in group["rules"]}


async def exported() -> dict[str, dict[str, set[str]]]:
    """Return what a server exports that somebody has joined: the values of each label, by sample."""
    async with serving() as server, joined(server.url):
        found: dict[str, dict[str, set[str]]] = {"up": {}}
        for family in parse((await fetch(server.url, "/metrics")).text):
            for sample in family.samples:
                labels = found.setdefault(sample.name, {})
                for name, value in sample.labels.items():
                    labels.setdefault(name, set()).add(value)
        return found


def check(query: str, found: dict[str, dict[str, set[str]]]) -> None:
    """Hold that a query asks only for what there is: metrics, labels, and values of labels."""
    selectors = SELECTOR.findall(query)
    assert selectors
    grouped = set(re.findall(r"\w+", " ".join(re.findall(r"by \(([^)]*)\)", query))))
    for metric, labels in selectors:
        assert metric in found, f"there is no {metric}"
        assert grouped <= found[metric].keys() | AT_A_SCRAPE, f"{metric} has no such label: {query}"
        for label, values in LABEL.findall(labels):
            if label not in AT_A_SCRAPE:
                assert set(values.split("|")) <= found[metric][label], f"{metric} has no {label} {values}"


async def test_every_panel_asks_for_what_there_is() -> None:
    found = await exported()
    for _, query in panels():
        check(query, found)
    for variable in DASHBOARD["templating"]["list"]:
        if variable["type"] == "query":
            assert SELECTOR.findall(variable["definition"])[0][0] in found


async def test_every_metric_is_on_the_dashboard() -> None:
    shown = {metric for _, query in panels() for metric, _ in SELECTOR.findall(query)}
    names = {name for name in await exported() if name.startswith("trioecho_")}
    ends = ("_bucket", "_sum", "_count")
    assert {name for name in names if not name.endswith(("_created", *ends))} <= shown


async def test_every_alert_asks_for_what_there_is() -> None:
    found = await exported()
    for query in rules().values():
        check(query, found)


def test_every_alert_is_described() -> None:
    page = (MANUAL / "monitoring.md").read_text()
    assert re.findall(r"^\| `(Trioecho\w+)` \| .+ \| .+ \|$", page, re.M) == list(rules())


def test_the_panels_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken and max(x for x, _ in cells) < 24
        taken |= cells
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)


# What each alert fires at, and that it does not at what is normal: a value each minute.

NORMAL = {
    'up{job="trioecho",instance="a"}': "1x60",
    'trioecho_disconnects_total{instance="a",reason="bug"}': "0x60",
    'trioecho_disconnects_total{instance="a",reason="slow"}': "0x60",
    'trioecho_disconnects_total{instance="a",reason="client-closed"}': "0+600x60",
    'trioecho_refusals_total{instance="a",cause="500"}': "0x60",
    'trioecho_refusals_total{instance="a",cause="503"}': "0x60",
    'trioecho_refusals_total{instance="a",cause="401"}': "0+6x60",
    'trioecho_loop_lag_seconds_bucket{instance="a",le="0.001"}': "0+120x60",
    'trioecho_loop_lag_seconds_bucket{instance="a",le="0.25"}': "0+120x60",
    'trioecho_loop_lag_seconds_bucket{instance="a",le="0.5"}': "0+120x60",
    'trioecho_loop_lag_seconds_bucket{instance="a",le="+Inf"}': "0+120x60",
    'process_open_fds{job="trioecho",instance="a"}': "500x60",
    'process_max_fds{job="trioecho",instance="a"}': "1000x60",
    'trioecho_held_bytes{instance="a"}': "1000000x60",
    'trioecho_messages_sent_total{instance="a"}': "0+1000000x60",
    'trioecho_messages_dropped_total{instance="a",policy="drop-oldest"}': "0+100x60",
}

WRONG = {
    "TrioechoDown": {'up{job="trioecho",instance="a"}': "0x60"},
    "TrioechoBug": {'trioecho_disconnects_total{instance="a",reason="bug"}': "0x40 1x20"},
    "TrioechoLate": {
        'trioecho_loop_lag_seconds_bucket{instance="a",le="0.001"}': "0+100x60",
        'trioecho_loop_lag_seconds_bucket{instance="a",le="0.25"}': "0+100x60",
    },
    "TrioechoFull": {'trioecho_refusals_total{instance="a",cause="503"}': "0+1x60"},
    "TrioechoOpenFiles": {'process_open_fds{job="trioecho",instance="a"}': "950x60"},
    "TrioechoMemory": {'trioecho_held_bytes{instance="a"}': "500000000x60"},
    "TrioechoSlowClients": {'trioecho_disconnects_total{instance="a",reason="slow"}': "0+2x60"},
    "TrioechoDropping": {'trioecho_messages_dropped_total{instance="a",policy="drop-oldest"}': "0+20000x60"},
    "TrioechoGuessing": {'trioecho_refusals_total{instance="a",cause="401"}': "0+90x60"},
}


@needs("promtool", "prometheus")
async def test_each_alert_fires_at_what_it_is_for_and_at_nothing_else(tmp_path: Path) -> None:
    promtool = path_of("promtool")
    assert list(WRONG) == list(rules())
    (tmp_path / "alerts.yml").write_text(ALERTS)
    cases = []
    for wrong in ["", *WRONG]:
        series = {**NORMAL, **WRONG.get(wrong, {})}
        fires: dict[str, list[dict[str, Any]]] = {alert: [] for alert in WRONG}
        if wrong:
            fires[wrong] = [{}]
        cases.append(
            {
                "interval": "1m",
                "input_series": [{"series": name, "values": values} for name, values in series.items()],
                "promql_expr_test": [
                    {
                        "expr": f'count by (alertname) (ALERTS{{alertname="{alert}",alertstate="firing"}})',
                        "eval_time": "50m",
                        "exp_samples": [{"labels": f'{{alertname="{alert}"}}', "value": 1} for _ in expected],
                    }
                    for alert, expected in fires.items()
                ],
            }
        )
    (tmp_path / "test.yml").write_text(json.dumps({"rule_files": ["alerts.yml"], "tests": cases}))
    code, said = await Shell(tmp_path).run(
        f"exec 2>&1; {promtool} check rules alerts.yml && {promtool} test rules test.yml"
    )
    assert code == 0, said


# The page's examples.


@asynccontextmanager
async def prometheus(folder: Path, metrics: str) -> AsyncIterator[str]:
    """Prometheus as the page configures it, but scraping each second; gives its own address."""
    program, port = path_of("prometheus"), free_port()
    places = [("127.0.0.1:9100", metrics), ("15s", "1s")]
    (folder / "prometheus.yml").write_text(substituted(example("monitoring", "prometheus.yml"), places))
    (folder / "trioecho-alerts.yml").write_text(ALERTS)
    options = f"--config.file=prometheus.yml --storage.tsdb.path=data --web.listen-address={HERE}:{port}"
    async with (
        Shell(folder).start(f"exec {program} {options} 2>&1") as running,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(read_all, running)
        await once_there(port)
        yield f"http://{HERE}:{port}"
        nursery.cancel_scope.cancel()


async def read_all(running: Any) -> None:
    async for _ in running.process.stdout:
        pass


def ask(address: str, query: str) -> list[Any]:
    """Ask Prometheus, and return what it has found: nothing, as long as it is starting."""
    url = f"{address}/api/v1/query?{urllib.parse.urlencode({'query': query})}"
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            result: list[Any] = json.load(answer)["data"]["result"]
            return [found for found in result if found["value"][1] != "NaN"]
    except urllib.error.HTTPError as error:
        assert error.code == 503, query
        error.close()
        return []


@MONITORING.test("prometheus.yml")
async def scraped(_: str, folder: Path) -> None:
    """Every panel has something to show of a server in use, as Prometheus answers it."""
    async with serving(metrics_address=f"{HERE}:0") as server, joined(server.url) as peer:
        metrics = urllib.parse.urlsplit(server.server.metrics_urls[0]).netloc
        async with prometheus(folder, metrics) as address:
            for _title, query in panels():
                asked = query.replace("$instance", ".*").replace("$__rate_interval", "30s")
                while not await trio.to_thread.run_sync(ask, address, asked):
                    await use(server, peer)
                    await trio.sleep(0.2)


async def use(server: Serving, peer: Peer) -> None:
    """Do with a server what its counters count."""
    await peer.send(frame(TEXT, b"hello"))
    async with joined(server.url) as other:
        await peer.send(frame(TEXT, b"hello"))
        await other.read_frame()
    assert (await fetch(server.url, method="PUT")).status == 405


@MONITORING.test("Health checks and metrics on an address of their own")
async def own_address(script: str, folder: Path) -> None:
    metrics = f"{HERE}:{free_port()}"
    changed = substituted(script, [("serve", "serve --port 0"), (f"{HERE}:9100", metrics)])
    async with run(changed, folder):
        for path in ("/healthz", "/readyz", "/metrics", "/status"):
            assert (await fetch(f"http://{metrics}", path)).status == 200


@MONITORING.test("Watch a server, by its metrics address")
async def watched(script: str, folder: Path) -> None:
    async with serving(metrics_address=f"{HERE}:0") as server:
        changed = substituted(script, [(f"http://{HERE}:9100", server.server.metrics_urls[0])])
        with trio.fail_after(15):
            see = partial(watch, folder, *shlex.split(changed, comments=True)[2:], sees="1 server answers")
            await trio.to_thread.run_sync(see)


@MONITORING.test("Watch all servers that share an engine")
async def watched_through_an_engine(script: str, folder: Path) -> None:
    (files := folder / "engine").mkdir()
    async with engine_server(files) as engine, serving(engine=engine.url), serving(engine=engine.url):
        changed = substituted(script, [("redis://10.0.0.5/0", engine.url)])
        see = partial(watch, folder, *shlex.split(changed, comments=True)[2:], sees="2 servers answer")
        await trio.to_thread.run_sync(see)


@MONITORING.test("The same once, for a script")
async def top_once(script: str, folder: Path) -> None:
    async with serving(metrics_address=f"{HERE}:0") as server, joined(server.url, b"/a"):
        changed = substituted(script, [(f"http://{HERE}:9100", server.server.metrics_urls[0])])
        code, said = await Shell(folder).run(changed)
        found = json.loads(said)
        assert code == 0 and found["rooms"][0]["room"] == "/a"
        assert found["rates"]["messages_in"] == 0 and found["nodes"][0]["rates"] == found["rates"]


@MONITORING.test("The status once, as JSON")
async def status_once(script: str, folder: Path) -> None:
    async with serving(metrics_address=f"{HERE}:0") as server, joined(server.url, b"/a"):
        metrics = urllib.parse.urlsplit(server.server.metrics_urls[0]).netloc
        code, said = await Shell(folder).run(substituted(script, [(f"{HERE}:9100", metrics)]))
        assert code == 0 and json.loads(said)["rooms"][0]["room"] == "/a"


@MONITORING.test("A dashboard for Grafana", "Alerts for Prometheus")
async def files(_: str, folder: Path) -> None:
    for title in ("A dashboard for Grafana", "Alerts for Prometheus"):
        assert await Shell(folder).run(example("monitoring", title)) == (0, "")
    assert json.loads((folder / "trioecho.json").read_text()) == DASHBOARD
    assert (folder / "trioecho-alerts.yml").read_text() == ALERTS


def test_every_example_has_a_test() -> None:
    MONITORING.check()


NEEDED = {"prometheus.yml": [needs("prometheus")]}


@pytest.mark.parametrize(
    "example",
    [pytest.param(each, marks=NEEDED.get(each.title, []), id=str(each)) for each in MONITORING.once()],
)
async def test_an_example_does_what_it_says(example: Example, tmp_path: Path) -> None:
    await MONITORING.run(example, tmp_path)
