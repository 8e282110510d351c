"""TLS to the engine: a real one with real certificates, and what is said when they are wrong."""

from __future__ import annotations

import logging
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
import trio
import trustme
from helpers.encrypted_engine import encrypted_engine, write_certificate
from helpers.http_client import fetch
from helpers.nodes import nodes_on
from helpers.server_process import running
from trio_websocket import open_websocket_url

import trioecho
from trioecho import OptionError, Server

PATIENCE = 60.0


@asynccontextmanager
async def serving(url: str) -> AsyncIterator[Server]:
    """Run a server on an engine, which soon goes on alone if it has none."""
    async with trio.open_nursery() as nursery:
        server = await nursery.start(
            partial(
                trioecho.serve, port=0, engine=url, engine_patience=0.2, to="everyone", shutdown_timeout=2
            )
        )
        yield server
        await server.shutdown()


async def said_by_itself(server: Server) -> None:
    """Hold that a server's own clients are served as by any server."""
    async with open_websocket_url(f"{server.url}x") as client:
        await client.send_message("to all")
        assert await client.get_message() == "to all"
    assert (await fetch(server.url, "/readyz")).status == 200
    assert (await fetch(server.url, "/x", method="POST", body=b"posted", headers=TEXT)).status == 202


TEXT = {"Content-Type": "text/plain"}


async def test_two_servers_share_their_rooms_over_tls(tmp_path: Path) -> None:
    with trio.fail_after(PATIENCE):
        async with encrypted_engine(tmp_path, clients_have_certificates=False) as engine:
            async with serving(engine.url()) as one, serving(engine.url()) as other:
                async with open_websocket_url(f"{one.url}x") as a, open_websocket_url(f"{other.url}x") as b:
                    large = "x" * 500_000
                    for text in ("from a", large):
                        await a.send_message(text)
                        assert await b.get_message() == text


async def test_messages_survive_an_engine_that_is_killed_over_tls_too(tmp_path: Path) -> None:
    with trio.fail_after(PATIENCE):
        async with encrypted_engine(tmp_path, clients_have_certificates=False) as encrypted:
            async with nodes_on(encrypted.url()) as nodes:
                nodes.publish()
                for _ in range(3):
                    await trio.sleep(0.5)
                    encrypted.engine.kill()
                    await encrypted.engine.start()
                outcome = await nodes.settle()
                assert outcome.published > 100
                assert (outcome.lost, outcome.doubled, outcome.reordered) == (0, 0, 0)


@pytest.mark.parametrize(
    ("wrong", "about"),
    [
        ("nobody vouches", "not trusted: self"),
        ("another name", "not trusted: Hostname mismatch"),
        ("no TLS there", "does it speak TLS on this port?"),
        ("TLS there", "before it said a word: if it speaks TLS there, the URL must say so (rediss)"),
    ],
)
async def test_an_engine_that_is_not_trusted_is_named_in_one_sentence_and_all_else_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, wrong: str, about: str
) -> None:
    caplog.set_level(logging.INFO, "trioecho")
    with trio.fail_after(PATIENCE):
        async with encrypted_engine(tmp_path, clients_have_certificates=False) as encrypted:
            stranger = tmp_path / "stranger.pem"
            trustme.CA().cert_pem.write_to_path(stranger)
            url = {
                "nobody vouches": encrypted.url(ca=stranger),
                "another name": encrypted.url(host="localhost"),
                "no TLS there": f"rediss://127.0.0.1:{encrypted.engine.port}?ca={encrypted.ca}",
                "TLS there": f"redis://127.0.0.1:{encrypted.port}",
            }[wrong]
            async with serving(url) as server:
                while "engine-lost" not in caplog.text:  # noqa: ASYNC110
                    await trio.sleep(0.02)
                await said_by_itself(server)
    lost = [record.getMessage() for record in caplog.records if "engine-lost" in record.getMessage()]
    assert len(lost) == 1 and about in lost[0], lost
    assert "Traceback" not in caplog.text and "engine-up" not in caplog.text


async def test_an_engine_that_wants_certificates_of_its_clients(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "trioecho")
    with trio.fail_after(PATIENCE):
        async with encrypted_engine(tmp_path, clients_have_certificates=True) as encrypted:
            cert, key = write_certificate(encrypted.authority, "node", tmp_path, "node")
            both = tmp_path / "both.pem"
            both.write_bytes(cert.read_bytes() + key.read_bytes())
            for url in (encrypted.url(cert=cert, key=key), encrypted.url(cert=both)):
                async with serving(url) as server, server.hub.subscribe("/x"):
                    while "engine-up" not in caplog.text:  # noqa: ASYNC110
                        await trio.sleep(0.02)
                caplog.clear()
            foreign_cert, foreign_key = write_certificate(trustme.CA(), "node", tmp_path, "foreign")
            foreign = encrypted.url(cert=foreign_cert, key=foreign_key)
            for url, about in (
                (encrypted.url(), "wants a certificate"),
                (foreign, "does not trust the certificate"),
            ):
                async with serving(url) as server:
                    while "engine-lost" not in caplog.text:  # noqa: ASYNC110
                        await trio.sleep(0.02)
                    await said_by_itself(server)
                assert about in caplog.text and "engine-up" not in caplog.text
                caplog.clear()


async def test_files_of_certificates_that_are_wrong_are_named_before_anything_is_served(
    tmp_path: Path,
) -> None:
    authority = trustme.CA()
    cert, key = write_certificate(authority, "one", tmp_path, "one")
    _, other = write_certificate(authority, "other", tmp_path, "other")
    (text := tmp_path / "text").write_text("no certificate")
    for query, about in (
        (f"ca={tmp_path}/none", "(?ca=) that cannot be read: no such file or directory"),
        (f"ca={text}", "names certificates (?ca=) that are not in the file: it must be PEM"),
        (f"ca={cert}&cert={text}", "(?cert=) that are not in the file"),
        (f"ca={cert}&cert={cert}", "(?cert=) that are not in the file"),
        (f"ca={cert}&cert={cert}&key={other}", "(?cert=) that do not belong together"),
        (f"ca={cert}&key={key}", "says ?key= without ?cert="),
    ):
        with pytest.raises(OptionError) as caught:
            await trioecho.serve(port=0, engine=f"rediss://localhost?{query}")
        assert about in str(caught.value) and caught.value.option == "engine"


async def test_the_command_shuts_down_in_order_over_tls(tmp_path: Path) -> None:
    with trio.fail_after(PATIENCE):
        async with encrypted_engine(tmp_path, clients_have_certificates=False) as encrypted:
            async with (
                running("--engine", encrypted.url()) as one,
                running("--engine", encrypted.url()) as two,
            ):
                async with open_websocket_url(f"{two.url}x") as listener:
                    async with open_websocket_url(f"{one.url}x") as sender:
                        for number in range(100):
                            await sender.send_message(f"{number}")
                    one.signal(signal.SIGTERM)
                    heard = [await listener.get_message() for _ in range(100)]
                    assert heard == [f"{number}" for number in range(100)]
                    assert await one.exit_code() == 0
