"""An engine behind TLS, with certificates of a test's own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import trustme
from helpers.engine_server import EngineServer, engine_server, free_port

__all__ = ["Encrypted", "encrypted_engine", "write_certificate"]


def write_certificate(authority: trustme.CA, name: str, folder: Path, file: str) -> tuple[Path, Path]:
    """Write a certificate for ``name``, and its private key."""
    issued = authority.issue_cert(name)
    cert, key = folder / f"{file}.pem", folder / f"{file}.key"
    issued.cert_chain_pems[0].write_to_path(cert)
    issued.private_key_pem.write_to_path(key)
    return cert, key


class Encrypted:
    """
    What is known of it.

    Attributes:
        engine: the engine, which can be asked without TLS on its Unix socket.
        port: where it speaks TLS.
        authority: who vouches for its certificate, which is for 127.0.0.1; ``ca`` is the file of it.
        lines: how its configuration names the certificate.

    """

    def __init__(
        self, engine: EngineServer, port: int, authority: trustme.CA, ca: Path, lines: list[str]
    ) -> None:
        self.engine = engine
        self.port = port
        self.authority = authority
        self.ca = ca
        self.lines = lines

    def url(
        self,
        *,
        host: str = "127.0.0.1",
        ca: Path | None = None,
        cert: Path | None = None,
        key: Path | None = None,
    ) -> str:
        """Where it is, with files in the URL's query."""
        files = {"ca": ca or self.ca, "cert": cert, "key": key}
        asked = "&".join(f"{name}={path}" for name, path in files.items() if path is not None)
        return f"rediss://{host}:{self.port}/0?{asked}"


@asynccontextmanager
async def encrypted_engine(folder: Path, *, clients_have_certificates: bool) -> AsyncIterator[Encrypted]:
    """Run a redis-server that speaks TLS, for the length of a block."""
    authority = trustme.CA()
    ca = folder / "ca.pem"
    authority.cert_pem.write_to_path(ca)
    cert, key = write_certificate(authority, "127.0.0.1", folder, "engine")
    port = free_port()
    lines = [
        f"tls-auth-clients {'yes' if clients_have_certificates else 'no'}",
        *(f"tls-cert-file {cert}", f"tls-key-file {key}", f"tls-ca-cert-file {ca}"),
    ]
    options = [word for line in (f"tls-port {port}", *lines) for word in f"--{line}".split()]
    async with engine_server(folder, "engine", *options, program="redis-server") as engine:
        yield Encrypted(engine, port, authority, ca, lines)
