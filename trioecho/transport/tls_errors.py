"""What OpenSSL reports, as sentences for a log, and who a certificate says that its owner is."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import Any

__all__ = ["subject_of", "tls_problem"]

PROBLEMS = {
    "BAD_RECORD_MAC": "the peer sent a record that does not decrypt",
    "DECRYPTION_FAILED_OR_BAD_RECORD_MAC": "the peer sent a record that does not decrypt",
    "HTTP_REQUEST": "the peer speaks plain HTTP, not TLS",
    "HTTPS_PROXY_REQUEST": "the peer speaks plain HTTP, not TLS",
    "NO_RENEGOTIATION": "the peer wants to renegotiate, which is not allowed",
    "NO_SHARED_CIPHER": "the peer offers no cipher that is allowed here",
    "PACKET_LENGTH_TOO_LONG": "the peer does not speak TLS",
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": "the peer sent no certificate, and one is required",
    "RECORD_LAYER_FAILURE": "the peer does not speak TLS",
    "SSLV3_ALERT_BAD_CERTIFICATE": "the peer does not accept our certificate",
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": "the peer does not accept our certificate",
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": "the peer requires a certificate of us",
    "TLSV1_ALERT_UNKNOWN_CA": "the peer does not accept our certificate: it does not know who issued it",
    "UNSUPPORTED_PROTOCOL": "the peer offers only versions of TLS that are not allowed here",
    "VERSION_TOO_LOW": "the peer offers only versions of TLS that are not allowed here",
    "WRONG_VERSION_NUMBER": "the peer does not speak TLS",
}
"""OpenSSL's reasons that are met in practice; the others are spelled out as they are."""


def tls_problem(error: ssl.SSLError, *, handshaking: bool = False) -> str:
    """Say in one sentence why TLS failed, without OpenSSL's source lines."""
    if isinstance(error, ssl.SSLEOFError) or error.reason == "UNEXPECTED_EOF_WHILE_READING":
        if handshaking:
            return "the peer hung up during the TLS handshake"
        return "the peer ended the connection without a TLS close_notify"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the peer's certificate is not accepted: {error.verify_message}"
    reason = error.reason or "unknown"
    what = PROBLEMS.get(reason) or f"TLS failed: {reason.lower().replace('_', ' ')}"
    return f"{what} (during the handshake)" if handshaking and reason not in PROBLEMS else what


def subject_of(certificate: Mapping[str, Any] | None) -> str | None:
    """
    Return who a certificate is for: the common name, or the first alternative name, or ``None``.

    ``certificate`` is what :meth:`ssl.SSLObject.getpeercert` returns: empty if it was not verified. Which
    of several common names counts is settled by nobody; the last is the most specific one (RFC 4514, 2.1).
    """
    if not certificate:
        return None
    names = [value for rdn in certificate.get("subject", ()) for key, value in rdn if key == "commonName"]
    names = names[-1:] or [value for _, value in certificate.get("subjectAltName", ())]
    return str(names[0]) if names else None
