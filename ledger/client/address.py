"""Where a ledger is, and how one sees that it is the right one: its URL, and TLS (docs/hardening.md)."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import ssl

    import httpx

CA_VARIABLE: Final = "AGENT_LEDGER_CA_FILE"
CERTIFICATE_VARIABLE: Final = "AGENT_LEDGER_CLIENT_CERTIFICATE"
KEY_VARIABLE: Final = "AGENT_LEDGER_CLIENT_KEY"
API: Final = "/v1"
_PEM: Final = re.compile(r"-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----")
_ROUTE: Final = re.compile(rf"{API}(/|$)")


def parse_url(url: str) -> "httpx.URL":
    """The address of a ledger.

    Raises:
        ValueError: it is none. The words do not quote what may be a password in it.
    """
    import httpx  # noqa: PLC0415 - it takes longer to import than all of the SDK

    try:
        base = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise ValueError(f"{url!r} is no URL: {error}") from None
    if base.userinfo:
        raise ValueError(
            f"the URL of the ledger at {base.host} has a user or a password in it: a token goes into a file or a variable of its own"
        )
    if base.scheme not in {"http", "https"} or not base.host:
        raise ValueError(f"{url!r} is no URL of a ledger: it begins with http:// or https:// and a host")
    if _ROUTE.search(base.path):
        raise ValueError(f"{url!r} is a route of a ledger: give its address, what stands before {API}")
    return base


def tls_context(
    ca_file: str | Path | None = None, environment: Mapping[str, str] = os.environ
) -> "ssl.SSLContext":
    """How a server's certificate is verified, always: by an authority of one's own, which then counts alone, or by the public ones.

    Args:
        ca_file: the authority's certificates in PEM; $AGENT_LEDGER_CA_FILE when None, else who is public (SSL_CERT_FILE names others).
        environment: also says which certificate to show, where the server asks for one.

    Raises:
        ValueError: a file cannot be used.
    """
    import ssl  # noqa: PLC0415 - as above

    import httpx  # noqa: PLC0415

    named = ca_file or environment.get(CA_VARIABLE) or None
    try:
        context = ssl.create_default_context(cafile=str(named)) if named else httpx.create_ssl_context()
    except (OSError, ssl.SSLError) as error:
        raise ValueError(
            f"no certificates can be read from {named or 'SSL_CERT_FILE'}: {_why(error)}"
        ) from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    certificate = environment.get(CERTIFICATE_VARIABLE) or None
    if certificate is not None:
        try:
            context.load_cert_chain(certificate, environment.get(KEY_VARIABLE) or None, password=_no_password)
        except (OSError, ssl.SSLError, ValueError) as error:
            raise ValueError(f"{CERTIFICATE_VARIABLE} {certificate}: {_why(error)}") from None
    return context


def pinned_context(certificate: Path) -> "ssl.SSLContext":
    """Verifies a server by its very certificate, whatever name it is for: for who can read the server's own file, on its machine.

    Raises:
        ValueError: the file has none.
    """
    import ssl  # noqa: PLC0415 - as above

    try:
        # The first: what follows it vouches for others too.
        first = _PEM.findall(certificate.read_text(encoding="ascii"))[:1]
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        context.load_verify_locations(cadata="".join(first))
    except (OSError, ValueError) as error:
        raise ValueError(f"the server's certificate {certificate} cannot be read: {_why(error)}") from None
    return context


def _no_password() -> str:
    """Stands where OpenSSL would ask the terminal for a key's password.

    Raises:
        ValueError: always.
    """
    raise ValueError("the key is encrypted: give one that is not, in a file that only its user can read")


def unreachable(url: str, error: Exception) -> str:
    """Why there is no connection, for people: what is wrong with a certificate is told as that."""
    import ssl  # noqa: PLC0415 - as above

    told = _of(error)
    if isinstance(told, ssl.SSLCertVerificationError):
        return (
            f"the server at {url} is not shown to be your ledger: {told.verify_message.rstrip('.')}; nothing was sent to it. "
            f"An authority of your own is named by {CA_VARIABLE}"
        )
    if isinstance(told, ssl.SSLError):
        return f"no TLS with {url}: {_why(told)}; nothing was sent"
    return (
        f"no ledger answers at {url} ({error}); start one with `agent-ledger serve`, or name another: "
        "--url, AGENT_LEDGER_URL"
    )


def _of(error: BaseException) -> "ssl.SSLError | None":
    """The TLS error that an error came of."""
    import ssl  # noqa: PLC0415 - as above

    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, ssl.SSLError):
            return seen
        seen = seen.__cause__ or seen.__context__
    return None


def _why(error: Exception) -> str:
    import ssl  # noqa: PLC0415 - as above

    if isinstance(error, ssl.SSLError):
        return error.reason.replace("_", " ").lower() if error.reason else str(error)
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
