"""
What the manual's page about containers shows.

No engine is needed, and so none builds an image or runs a pod: the commands of the file are run as they stand
there, and what a pod is given and asked is given to a server and asked of it.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from helpers.browser import free_port
from helpers.deployed import TOKEN, entry
from helpers.examples import HERE, ExampleTests
from helpers.http_client import fetch
from helpers.markdown import PAGES, ROOT, Example, example
from helpers.server_process import running
from helpers.shell import Shell, substituted

from trioecho.cli import app

yaml = pytest.importorskip("yaml", reason="needs PyYAML: pip install PyYAML")

CONTAINERS = ExampleTests(["containers"])

USER = "10001"

PATIENCE = 120
"""How long an example may take (seconds) before it counts as hung: one builds a package."""


def instructions() -> Iterator[tuple[str, str]]:
    """Return the lines of the Containerfile, each as its instruction and the rest."""
    for line in example("containers", "Containerfile").splitlines():
        if line and not line.startswith("#"):
            assert not line.endswith("\\"), "each instruction is one line"
            instruction, rest = line.split(" ", 1)
            yield instruction, rest


def values(instruction: str) -> list[str]:
    """Return what stands behind an instruction, each time it is there."""
    return [rest for name, rest in instructions() if name == instruction]


def variables() -> dict[str, str]:
    """Return the environment that the image sets."""
    return dict(pair.split("=", 1) for line in values("ENV") for pair in shlex.split(line))


@CONTAINERS.test("Containerfile")
async def image(_: str, folder: Path) -> None:
    """Build what it says in a folder, and run that as the engine would."""
    for name in [name for line in values("COPY") if "--from" not in line for name in line.split()[:-1]]:
        assert (ROOT / name).exists()
    venv = folder / "trioecho"
    (build,) = values("RUN")
    # What the engine copies; and of packages, those that the tests run with are good enough.
    (source := folder / "src").mkdir()
    for line in values("COPY"):
        *names, target = line.split()
        if "--from" not in line:
            where = source if target == "/src/" else source / target.removeprefix("/src/")
            for name in names:
                copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
                copy(ROOT / name, where)
    places = [("python -m", f"{sys.executable} -m"), ("/opt/trioecho", str(venv)), ("'/src", f"'{source}")]
    shell = Shell(folder, PYTHONPATH=sysconfig.get_path("purelib"))
    places += [("--no-cache-dir", "--no-deps")]
    done, said = await shell.run(f"exec 2>&1\n{substituted(build, places)}")
    if done and "hatchling" in said:
        pytest.skip("building the image takes hatchling, and there is no package index to get it from")
    assert done == 0, said

    port, metrics = free_port(), free_port()
    given = {**variables(), "TRIOECHO_HOST": HERE, "TRIOECHO_PORT": str(port)}
    assert given["TRIOECHO_METRICS_ADDRESS"] == "0.0.0.0:9100"
    given["TRIOECHO_METRICS_ADDRESS"] = f"{HERE}:{metrics}"
    shell.environment |= {**given, "PATH": given["PATH"].replace("/opt/trioecho", str(venv))}
    shell.environment["PATH"] = shell.environment["PATH"].replace("$PATH", os.environ["PATH"])
    (entrypoint,) = values("ENTRYPOINT")
    ((check,),) = [re.findall(r"CMD (\[.*\])", line) for line in values("HEALTHCHECK")]
    health = substituted(shlex.join(json.loads(check)), [(":9100", f":{metrics}")])
    async with shell.start(f"exec 2>&1\nexec {shlex.join(json.loads(entrypoint))}") as server:
        assert (await entry(server, "listening"))["url"] == f"ws://{HERE}:{port}/"
        assert await shell.run(health) == (0, "")
        server.process.terminate()
        assert (await server.end())[0] == 0
    code, _said = await shell.run(f"{health} 2>&1")
    assert code != 0


def test_the_image_is_small_and_runs_as_nobody() -> None:
    assert all(line.split()[0].endswith("-slim") for line in values("FROM"))
    assert values("USER") == [f"{USER}:{USER}"]
    names = [name for name, _ in instructions()]
    assert names.index("USER") < names.index("ENTRYPOINT")
    assert all(json.loads(line) for line in values("ENTRYPOINT")), "a shell would keep SIGTERM to itself"
    assert set(values("EXPOSE")[0].split()) == {"7890", "9100"}


def manifests() -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the Deployment and the Service."""
    deployment, service = yaml.safe_load_all(example("containers", "trioecho.yaml"))
    return deployment, service


@CONTAINERS.test("trioecho.yaml")
async def pod(_: str, folder: Path) -> None:
    """Start a server as the image and the pod configure it, and ask it what the probes ask."""
    deployment, service = manifests()
    spec = deployment["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert {str(port) for port in ports.values()} == set(values("EXPOSE")[0].split())
    given = {**variables(), **{pair["name"]: pair["value"] for pair in container["env"]}}
    del given["PATH"]
    (tokens := folder / "tokens").write_text(f"ada {TOKEN}\n")
    tokens.chmod(0o440)
    real = {name: free_port() for name in ports}
    given |= {
        "TRIOECHO_HOST": HERE,
        "TRIOECHO_METRICS_ADDRESS": f"{HERE}:{real['metrics']}",
        "TRIOECHO_TOKEN_FILE": given["TRIOECHO_TOKEN_FILE"].replace("/etc/trioecho", str(folder)),
    }
    async with running("--port", str(real["rooms"]), variables=given) as server:
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            asked = container[probe]["httpGet"]
            assert (await fetch(f"http://{HERE}:{real[asked['port']]}", asked["path"])).status == 200
        assert not server.find("message", level="warning")
    (port,) = service["spec"]["ports"]
    assert port["targetPort"] in ports
    assert service["spec"]["selector"].items() <= deployment["spec"]["template"]["metadata"]["labels"].items()


def test_the_pod_is_one_that_strangers_may_reach() -> None:
    deployment, service = manifests()
    spec = deployment["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    assert spec["securityContext"]["runAsNonRoot"] and spec["securityContext"]["fsGroup"] == int(USER)
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert not container["securityContext"]["allowPrivilegeEscalation"]
    (volume,) = spec["volumes"]
    assert volume["secret"]["defaultMode"] == 0o440
    assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"]}
    # A service of this name would otherwise set TRIOECHO_PORT=tcp://10.0.0.1:80 in each pod.
    options = [option.envvar for option in typer.main.get_command(app).commands["serve"].params]  # type: ignore[attr-defined]
    assert f"{service['metadata']['name'].upper()}_PORT" in options and spec["enableServiceLinks"] is False


def test_a_pod_has_the_time_that_the_server_takes_to_shut_down() -> None:
    deployment, _ = manifests()
    (default,) = re.findall(r"`--shutdown-timeout SECONDS` .*?\| ([\d.]+) \| seconds", PAGES["reference"])
    spec = deployment["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    (drain,) = [pair["value"] for pair in container["env"] if pair["name"] == "TRIOECHO_DRAIN"]
    assert spec["terminationGracePeriodSeconds"] > float(drain) + float(default)


def test_every_example_has_a_test() -> None:
    CONTAINERS.check()


@pytest.mark.parametrize("example", CONTAINERS.once(), ids=str)
async def test_an_example_does_what_it_says(example: Example, tmp_path: Path) -> None:
    await CONTAINERS.run(example, tmp_path, PATIENCE)
