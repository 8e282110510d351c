"""A server's TLS context comes from files, says what is wrong with them, and follows their changes."""

from __future__ import annotations

import datetime
import os
import re
import socket
import ssl
import time
from pathlib import Path

import pytest
import trio
import trustme
from cryptography.hazmat.primitives import serialization

from trioecho.transport.tls_context import ReloadingContext, TLSError, TLSFiles, make_context
from trioecho.transport.tls_socket import TLSSocket

CA = trustme.CA()


def write(directory: Path, name: str = "localhost", issuer: trustme.CA = CA, **options: object) -> TLSFiles:
    """Write a certificate and its key, in the place of those that are there."""
    cert = issuer.issue_cert(name, **options)  # type: ignore[arg-type]
    files = TLSFiles(cert=directory / "cert.pem", key=directory / "key.pem")
    assert files.key is not None
    files.cert.write_bytes(b"".join(blob.bytes() for blob in cert.cert_chain_pems))
    files.key.write_bytes(cert.private_key_pem.bytes())
    return files


async def served_name(
    context: ssl.SSLContext, client: ssl.SSLContext | None = None, host: str | None = None
) -> str:
    """Connect over TLS; return who the server says it is, what was agreed on and who the client is."""
    if client is None:
        client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        client.check_hostname = False
        CA.configure_trust(client)
        client.set_alpn_protocols(["h2", "http/1.1"])
    near, far = socket.socketpair()
    with trio.fail_after(10):
        async with TLSSocket(near, context) as server:
            async with TLSSocket(far, client, server_side=False, server_hostname=host) as peer:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(peer.do_handshake)
                    nursery.start_soon(server.do_handshake)
                await server.send_all(b"hello")
                assert await peer.receive_some() == b"hello"
                return f"{peer.tls_subject} {server.tls_version} {server.alpn_protocol} {server.tls_subject}"


async def test_a_context_of_files_serves_clients_with_and_without_a_name(tmp_path: Path) -> None:
    context, warning = make_context(write(tmp_path))
    assert warning is None
    assert await served_name(context) == "localhost TLSv1.3 http/1.1 None"
    assert await served_name(context, host="localhost") == "localhost TLSv1.3 http/1.1 None"
    assert await served_name(context, host="another.example") == "localhost TLSv1.3 http/1.1 None"
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert context.options & ssl.OP_NO_COMPRESSION
    assert context.options & ssl.OP_NO_RENEGOTIATION
    assert not context.options & ssl.OP_NO_TICKET
    assert context.num_tickets > 0


async def test_one_file_may_hold_both(tmp_path: Path) -> None:
    files = write(tmp_path)
    assert files.key is not None
    files.cert.write_bytes(files.key.read_bytes() + files.cert.read_bytes())
    context, _ = make_context(TLSFiles(cert=files.cert))
    assert (await served_name(context)).startswith("localhost ")


async def test_with_an_authority_for_clients_every_client_has_a_certificate(tmp_path: Path) -> None:
    files = write(tmp_path)
    clients = trustme.CA()
    clients.cert_pem.write_to_path(str(tmp_path / "clients.pem"))
    context, _ = make_context(TLSFiles(cert=files.cert, key=files.key, client_ca=tmp_path / "clients.pem"))
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    CA.configure_trust(client)
    client.maximum_version = ssl.TLSVersion.TLSv1_2  # where the client hears of it within the handshake
    with pytest.raises(ExceptionGroup) as caught:
        await served_name(context, client, "localhost")
    assert caught.group_contains(trio.BrokenResourceError, match="sent no certificate, and one is required")
    clients.issue_cert("sensor-7.example").configure_cert(client)
    assert (await served_name(context, client, "localhost")).endswith(" sensor-7.example")


def problem(files: TLSFiles) -> str:
    with pytest.raises(TLSError) as caught:
        make_context(files)
    text = str(caught.value)
    assert "\n" not in text
    assert "_ssl.c" not in text
    return text


def test_what_is_wrong_is_said_in_one_sentence_that_names_the_file(tmp_path: Path) -> None:
    files = write(tmp_path)
    cert, key = files.cert, files.key
    assert key is not None
    none = tmp_path / "none.pem"
    assert problem(TLSFiles(cert=none, key=key)) == f"{none}: cannot be read: no such file or directory"
    assert problem(TLSFiles(cert=cert, key=none)) == f"{none}: cannot be read: no such file or directory"
    assert problem(TLSFiles(cert=tmp_path, key=key)) == f"{tmp_path}: cannot be read: is a directory"
    assert problem(TLSFiles(cert=key, key=key)).startswith(f"{key}: has no certificate in it (PEM")
    assert problem(TLSFiles(cert=cert)).startswith(f"{cert}: has no private key in it (PEM")
    assert problem(TLSFiles(cert=cert, key=cert)).startswith(f"{cert}: has no private key in it (PEM")
    for empty in "empty", "binary":
        path = tmp_path / empty
        path.write_bytes(b"" if empty == "empty" else bytes(range(256)))
        assert problem(TLSFiles(cert=path, key=key)).startswith(f"{path}: has no certificate in it")
        assert problem(TLSFiles(cert=cert, key=path)).startswith(f"{path}: has no private key in it")
        authority = TLSFiles(cert=cert, key=key, client_ca=path)
        assert problem(authority).startswith(f"{path}: has no certificate in it")
    assert problem(TLSFiles(cert=cert, key=key, client_ca=none)).startswith(f"{none}: cannot be read")

    other = tmp_path / "other.pem"
    other.write_bytes(CA.issue_cert("other").private_key_pem.bytes())
    mismatch = f"{other}: the private key does not belong to the certificate in {cert}"
    assert problem(TLSFiles(cert=cert, key=other)) == mismatch

    loaded = serialization.load_pem_private_key(key.read_bytes(), None)
    locked = tmp_path / "locked.pem"
    locked.write_bytes(
        loaded.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    encrypted = f"{locked}: the private key is encrypted; store it without a password"
    assert problem(TLSFiles(cert=cert, key=locked)) == encrypted

    damaged = tmp_path / "damaged.pem"
    for good, what in (cert, "certificate"), (key, "private key"):
        lines = good.read_text().splitlines()
        damaged.write_text("\n".join([lines[0], "AAAA" + lines[1], *lines[2:]]))
        pair = TLSFiles(cert=damaged, key=key) if good is cert else TLSFiles(cert=cert, key=damaged)
        assert problem(pair).startswith(f"{damaged}: the {what} cannot be read")
    damaged.write_bytes(cert.read_bytes().replace(b"MII", b"AII"))
    authority = TLSFiles(cert=cert, key=key, client_ca=damaged)
    assert problem(authority) == f"{damaged}: has a certificate in it that cannot be read"


async def test_a_certificate_that_is_out_of_date_is_a_warning(tmp_path: Path) -> None:
    past = datetime.datetime(2021, 1, 1, tzinfo=datetime.UTC)
    _, warning = make_context(write(tmp_path, not_after=past))
    refused = f"{tmp_path / 'cert.pem'}: clients will refuse this certificate: certificate has expired"
    assert warning == refused


async def test_a_wrong_pair_keeps_the_old_one_and_a_right_one_is_used_by_new_handshakes(
    tmp_path: Path,
) -> None:
    files = write(tmp_path, "one.example")
    context = ReloadingContext(files)
    near, far = socket.socketpair()
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    CA.configure_trust(client)
    async with TLSSocket(near, context.context) as running:
        async with TLSSocket(far, client, server_side=False, server_hostname="one.example") as peer:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(peer.do_handshake)
                nursery.start_soon(running.do_handshake)
            assert files.key is not None
            key = files.key.read_bytes()
            files.key.write_bytes(CA.issue_cert("stray").private_key_pem.bytes())
            why = context.reload()
            assert why is not None
            assert re.search(r"does not belong to .*; the certificate in use is kept$", why)
            assert (await served_name(context.context)).startswith("one.example ")
            files.key.write_bytes(key)
            write(tmp_path, "two.example")
            assert context.reload() is None
            assert (await served_name(context.context)).startswith("two.example ")
            await running.send_all(b"still here")
            assert await peer.receive_some() == b"still here"


async def test_changed_files_are_noticed_at_most_once_a_second(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    files = write(tmp_path, "one.example")
    context = ReloadingContext(files)
    write(tmp_path, "two.example")
    assert context.refresh() == (False, None)
    now += 1
    assert context.refresh() == (True, None)
    assert (await served_name(context.context)).startswith("two.example ")
    now += 1
    assert context.refresh() == (False, None)

    # A new file under the old name, as certbot and Kubernetes do it, with the time of the old one.
    before = os.stat(files.cert)
    renewed = tmp_path / "renewed"
    renewed.mkdir()
    new = write(renewed, "three.example")
    assert new.key is not None
    assert files.key is not None
    os.utime(new.cert, ns=(before.st_atime_ns, before.st_mtime_ns))
    os.replace(new.cert, files.cert)
    now += 1
    changed, why = context.refresh()
    assert changed
    assert why is not None  # the key is still to come
    now += 1
    assert context.refresh() == (False, None)  # and it is said once
    os.replace(new.key, files.key)
    now += 1
    assert context.refresh() == (True, None)
    assert (await served_name(context.context)).startswith("three.example ")
    files.cert.unlink()
    now += 1
    changed, why = context.refresh()
    assert changed
    assert why is not None
    assert "no such file or directory" in why
    assert (await served_name(context.context)).startswith("three.example ")
