"""TLS to an engine: what connections are encrypted with, and why one could not be."""

from __future__ import annotations

import ssl

from trioecho.engine_url import EngineAddress
from trioecho.options import OptionError
from trioecho.system_errors import reason_of

__all__ = ["tls_context", "tls_trouble"]

WANTED = {
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": "it wants a certificate: name one with ?cert=FILE",
    "TLSV1_ALERT_UNKNOWN_CA": "it does not trust the certificate of ?cert=",
    "WRONG_VERSION_NUMBER": "it does not speak TLS on this port",
}
"""What is to be said of alerts that are mistakes of whoever set it up."""


def tls_context(address: EngineAddress) -> ssl.SSLContext | None:
    """
    Return how connections are encrypted, if they are.

    The engine's certificate must be trusted, and be that of the host that the URL names.

    Raises:
        OptionError: a file that the URL names can't be used.

    """
    if not address.tls:
        return None
    try:
        context = ssl.create_default_context(cafile=address.ca)
    except OSError as error:
        raise _unusable("ca", "certificates", error) from None
    if address.cert is not None:
        try:
            context.load_cert_chain(address.cert, address.key, password=_refuse_to_ask)
        except _Encrypted:
            raise OptionError(
                "engine", "names a private key (?key=) that is encrypted: store it without a password"
            ) from None
        except OSError as error:
            raise _unusable("cert", "a certificate and a private key", error) from None
    return context


def tls_trouble(error: ssl.SSLError) -> str:
    """Say why TLS failed, in a few words."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message.rstrip('.')}"
    reason = error.reason or ""
    return WANTED.get(reason) or f"TLS with it fails: {(reason or str(error)).replace('_', ' ').lower()}"


class _Encrypted(Exception):
    """OpenSSL asked for a password."""


def _refuse_to_ask() -> str:
    """Stand where OpenSSL would ask at the terminal."""
    raise _Encrypted


def _unusable(parameter: str, what: str, error: OSError) -> OptionError:
    if not isinstance(error, ssl.SSLError):
        text = f"cannot be read: {reason_of(error)}"
    elif error.reason in ("KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH"):
        text = "do not belong together"
    else:
        text = "are not in the file: it must be PEM"
    return OptionError("engine", f"names {what} (?{parameter}=) that {text}")
