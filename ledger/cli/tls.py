"""What `serve` is told of TLS, and that it does not answer other machines in clear by mistake."""

import ipaddress
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer

from ledger.cli.exits import CommandError

if TYPE_CHECKING:  # reading the help needs no server
    from ledger.api.tls import Tls

TlsCertificate = Annotated[
    Path | None,
    typer.Option(
        "--tls-certificate",
        envvar="AGENT_LEDGER_TLS_CERTIFICATE",
        help="Serve over TLS with this certificate (PEM, with its chain); it is read again when it changes.",
    ),
]
TlsKey = Annotated[
    Path | None,
    typer.Option("--tls-key", envvar="AGENT_LEDGER_TLS_KEY", help="The certificate's key (PEM)."),
]
TlsClientCa = Annotated[
    Path | None,
    typer.Option(
        "--tls-client-ca",
        envvar="AGENT_LEDGER_TLS_CLIENT_CA",
        help="Workloads may show a certificate of this authority instead of a token (mutual TLS).",
    ),
]
PlainHttp = Annotated[
    bool,
    typer.Option(
        "--plain-http",
        envvar="AGENT_LEDGER_PLAIN_HTTP",
        help="Answer other machines without TLS: something in front of the ledger has it.",
    ),
]


def read_tls(certificate: Path | None, key: Path | None, client_ca: Path | None = None) -> "Tls | None":
    """The server's TLS, of the files that were named; None for plain HTTP.

    Raises:
        CommandError: an option lacks another.
        LedgerError: `tls-files`.
    """
    if certificate is not None and key is not None:
        from ledger.api.tls import Files, Tls  # noqa: PLC0415 - as above

        return Tls(Files(certificate, key, client_ca))
    if (certificate, key, client_ca) != (None, None, None):
        raise CommandError("--tls-certificate and --tls-key go together, and --tls-client-ca goes with both")
    return None


def refuse_clear(at: socket.socket) -> None:
    """See that no other machine can reach what has no TLS.

    Raises:
        CommandError: one could; the socket is closed.
    """
    host = at.getsockname()[0]
    if not ipaddress.ip_address(host).is_loopback:
        at.close()
        raise CommandError(
            f"other machines could reach {host}, and tokens and contents be read on their way: give --tls-certificate and --tls-key, or "
            "say --plain-http where something in front of the ledger has TLS"
        )


def reachable(url: str) -> str:
    """How commands on the same machine reach a server that listens there: at its own address where it listens at all of them."""
    parts = urlsplit(url)
    host = ipaddress.ip_address(parts.hostname or "")
    if not host.is_unspecified:
        return url
    own = "127.0.0.1" if host.version == 4 else "[::1]"  # noqa: PLR2004 - IPv4
    return f"{parts.scheme}://{own}:{parts.port}"
