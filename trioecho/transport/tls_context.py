"""
A server's TLS context: made of files, checked once, and made again when the files change.

Defaults are the ssl module's for a server (TLS 1.2 and later, no compression), with renegotiation off, ALPN
``http/1.1`` (RFC 7301) and session tickets on. A client need not name the host it wants (SNI); every client
gets the one certificate. Early data stays off: the ssl module never turns it on.
"""

from __future__ import annotations

import ssl
import time
from dataclasses import dataclass
from pathlib import Path

from trioecho.system_errors import reason_of

__all__ = ["ReloadingContext", "TLSError", "TLSFiles", "make_context"]

CHECK_EVERY = 1.0
"""The files are looked at no more often than this (seconds), however many connections come."""


class TLSError(Exception):
    """A server cannot speak TLS with these files; the text is one sentence that names the file."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TLSFiles:
    """
    Where a server's TLS comes from; all are PEM.

    Attributes:
        cert: the certificate, followed by those between it and its root.
        key: its private key, not encrypted; ``None``: it stands in ``cert``.
        client_ca: who issues the certificates of clients. With it every client must have one.

    """

    cert: Path
    key: Path | None = None
    client_ca: Path | None = None

    def paths(self) -> list[Path]:
        """Return the files there are."""
        return [path for path in (self.cert, self.key, self.client_ca) if path is not None]


def make_context(files: TLSFiles) -> tuple[ssl.SSLContext, str | None]:
    """
    Make a context of ``files``, and a warning in one sentence if clients will refuse its certificate.

    Raises:
        TLSError: one of them is missing or wrong.

    """
    for path in files.paths():
        _text(path)
    certificates = _certificates(files.cert)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["http/1.1"])
    key = files.key or files.cert
    try:
        context.load_cert_chain(files.cert, files.key, password=_refuse_to_ask)
    except _Encrypted:
        raise TLSError(f"{key}: the private key is encrypted; store it without a password") from None
    except ssl.SSLError as error:
        raise TLSError(_key_problem(error, files.cert, key)) from None
    except OSError as error:
        raise TLSError(f"{key}: cannot be read: {reason_of(error)}") from None
    if files.client_ca is not None:
        _certificates(files.client_ca)
        try:
            context.load_verify_locations(files.client_ca)
        except ssl.SSLError:
            raise TLSError(f"{files.client_ca}: has a certificate in it that cannot be read") from None
        context.verify_mode = ssl.CERT_REQUIRED
    return context, _doubt(context, files.cert, certificates[0])


class ReloadingContext:
    """
    A context that follows its files.

    Making one raises :class:`TLSError`; later a wrong file changes nothing.

    A new context is used by handshakes that begin later; connections keep the one they have. It has new keys
    for its tickets, so nobody resumes a session that an authority since removed had vouched for; the price is
    one full handshake a client after a reload.

    Attributes:
        context: what the next handshake uses.
        warning: one sentence, if clients will refuse the certificate: it has expired, say.

    """

    def __init__(self, files: TLSFiles) -> None:
        self.files = files
        self._seen = self._identity()
        self.context, self.warning = make_context(files)
        self._checked_at = time.monotonic()

    def reload(self) -> str | None:
        """Read the files again; return why the old ones are kept (one sentence), or ``None``."""
        # Taken first: what changes while they are read is noticed the next time.
        self._seen = self._identity()
        try:
            self.context, self.warning = make_context(self.files)
        except TLSError as error:
            return f"{error}; the certificate in use is kept"
        return None

    def refresh(self) -> tuple[bool, str | None]:
        """
        Read the files again if they have changed, looking at most once a second.

        Returns whether they were read, and what :meth:`reload` returned.
        """
        now = time.monotonic()
        if now - self._checked_at < CHECK_EVERY:
            return False, None
        self._checked_at = now
        if self._identity() == self._seen:
            return False, None
        return True, self.reload()

    def _identity(self) -> list[tuple[int, int, int, int] | None]:
        found: list[tuple[int, int, int, int] | None] = []
        for path in self.files.paths():
            try:
                stat = path.stat()
            except OSError:
                found.append(None)
            else:
                found.append((stat.st_dev, stat.st_ino, stat.st_mtime_ns, stat.st_size))
        return found


class _Encrypted(Exception):
    """OpenSSL asked for a password."""


def _refuse_to_ask() -> str:
    """Stand where OpenSSL would ask at the terminal, and stop a server that nobody watches."""
    raise _Encrypted


def _text(path: Path) -> str:
    try:
        return path.read_text("ascii", errors="replace")
    except OSError as error:
        raise TLSError(f"{path}: cannot be read: {reason_of(error)}") from None


def _certificates(path: Path) -> list[str]:
    """Return the PEM blocks of the certificates in a file; at least one."""
    begin, end = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
    blocks = [begin + block.partition(end)[0] + end for block in _text(path).split(begin)[1:]]
    if not blocks:
        raise TLSError(f"{path}: has no certificate in it (PEM, '{begin}')")
    return blocks


def _key_problem(error: ssl.SSLError, cert: Path, key: Path) -> str:
    if error.reason in ("KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH"):
        return f"{key}: the private key does not belong to the certificate in {cert}"
    if "PRIVATE KEY-----" not in _text(key):
        return f"{key}: has no private key in it (PEM, '-----BEGIN PRIVATE KEY-----')"
    if error.reason in ("CA_MD_TOO_WEAK", "EE_KEY_TOO_SMALL", "CA_KEY_TOO_SMALL"):
        return f"{cert}: the certificate is too weak: {error.reason.lower().replace('_', ' ')}"
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_verify_locations(cert)
    except ssl.SSLError:
        return f"{cert}: the certificate cannot be read; it is damaged"
    return f"{key}: the private key cannot be read; it is damaged or of an unknown kind"


def _doubt(context: ssl.SSLContext, path: Path, certificate: str) -> str | None:
    """
    Shake hands with ourselves, in memory, and return a warning if the certificate would be refused.

    The client trusts just this one certificate and asks for no name, so only its dates and its purpose count.
    """
    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trusting.check_hostname = False
    trusting.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    trusting.load_verify_locations(cadata=certificate)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = context.wrap_bio(to_server, to_client, server_side=True)
    client = trusting.wrap_bio(to_client, to_server)
    for end in client, server, client:
        try:
            end.do_handshake()
        except ssl.SSLWantReadError:
            continue
        except ssl.SSLCertVerificationError as error:
            return f"{path}: clients will refuse this certificate: {error.verify_message}"
    return None
