"""Options of how connections begin: TLS, and what proxies say of who is behind them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from trioecho.option_kinds import Switch, Text, Texts
from trioecho.options import Group, OptionError

__all__ = ["Transport"]


@dataclass(frozen=True, kw_only=True)
class Transport(Group):
    """How connections begin."""

    title: ClassVar[str] = "TLS and proxies"

    tls_cert: Annotated[
        str | None,
        Text("Speak TLS over TCP with this certificate (PEM).", metavar="FILE", most=4096, optional=True),
    ] = None
    """The server's certificate and those between it and its root (PEM); TCP connections then speak TLS. Unix
    sockets and the monitoring address never do. Read again when the file changes."""

    tls_key: Annotated[
        str | None,
        Text(
            "The certificate's private key (PEM), if it has a file of its own.",
            "FILE",
            most=4096,
            optional=True,
        ),
    ] = None
    """The private key, not encrypted; without it, the key stands in the certificate's file."""

    tls_client_ca: Annotated[
        str | None,
        Text(
            "Let in only clients with a certificate that these issued (PEM).",
            "FILE",
            most=4096,
            optional=True,
        ),
    ] = None
    """Who issues the certificates of clients; with it every client must show one."""

    trusted_proxy: Annotated[
        tuple[str, ...],
        Texts(
            "Believe a proxy in this network, or unix, who is behind it; may be given several times.", "CIDR"
        ),
    ] = ()
    """Networks of proxies that are believed; ``unix`` for those that connect over a Unix socket."""

    proxy_protocol: Annotated[bool, Switch("Require a PROXY header (version 1 or 2) of trusted proxies.")] = (
        False
    )
    """Whether trusted proxies begin every connection with a PROXY header. Others must not send one."""

    def __post_init__(self) -> None:
        """Check that no option is there in vain."""
        super().__post_init__()
        for name in ("tls_key", "tls_client_ca"):
            if getattr(self, name) is not None and self.tls_cert is None:
                raise OptionError(name, "needs the server's certificate: --tls-cert")
        if self.proxy_protocol and not self.trusted_proxy:
            raise OptionError("proxy_protocol", "needs the network of the proxy: --trusted-proxy")
