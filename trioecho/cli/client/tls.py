"""What a command line says of TLS, as an SSL context."""

from __future__ import annotations

import ssl
from pathlib import Path

import typer

from trioecho.system_errors import reason_of

__all__ = ["ssl_context"]


def ssl_context(
    cacert: Path | None, cert: Path | None, key: Path | None, *, insecure: bool
) -> ssl.SSLContext | None:
    """
    Make the context; None: nothing was said, and the library's own will do.

    Raises:
        typer.BadParameter: a file cannot be used.

    """
    if cacert is None and cert is None and key is None and not insecure:
        return None
    if key is not None and cert is None:
        raise typer.BadParameter("--key needs --cert")
    try:
        context = ssl.create_default_context(cafile=cacert)
    except OSError as error:
        raise typer.BadParameter(f"--cacert {cacert} {_problem(error)}") from None
    if cert is not None:
        try:
            context.load_cert_chain(cert, key)
        except OSError as error:
            raise typer.BadParameter(f"--cert {cert} {_problem(error)}") from None
    if insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _problem(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        return "holds no certificate that can be used (it must be PEM, and the key must fit)"
    return f"cannot be read: {reason_of(error)}"
