"""TLS of the server: its certificate, read again when its files change, and who its clients are, where they show certificates.

TLS 1.2 and above with what Python's own list allows (forward secrecy, authenticated ciphers). With an authority for clients TLS 1.3 alone, and no session is
resumed: what is known of a client is then always what it has just shown. A certificate proves who is asked and who asks; what they may is the log's affair
(`ledger.trust.admission`), and a client without one needs a token like everybody.
"""

import logging
import os
import ssl
import stat
import time
from pathlib import Path
from typing import Any, Final, NamedTuple

from ledger.core.errors import Code, LedgerError
from ledger.trust.spiffe import workload_of

LOOK_EVERY_S: Final = 1.0
HTTP_1_1: Final = "http/1.1"
_OTHERS_READ: Final = stat.S_IROTH | stat.S_IWOTH
logger = logging.getLogger(__name__)


class Files(NamedTuple):
    """What TLS is made of, in PEM.

    Attributes:
        certificate: the server's, with those between it and its authority.
        key: its key, not encrypted.
        client_ca: the authority of clients' certificates; None where none is asked for.
    """

    certificate: Path
    key: Path
    client_ca: Path | None = None


class Workload(NamedTuple):
    """A client that has shown a certificate of the authority for clients.

    Attributes:
        id: its SPIFFE ID.
        until: when the certificate ends, in seconds since 1970.
    """

    id: str
    until: float


class Tls:
    """The server's side of TLS. Lives on one event loop."""

    def __init__(self, files: Files) -> None:
        """Read the files.

        Raises:
            LedgerError: `tls-files`: they cannot be used.
        """
        self._files = files
        self._stamp = self._look()
        self._looked = time.monotonic()
        self.context = self._newest = _context(files)
        self.context.sni_callback = self._renew

    def _renew(self, connection: Any, _name: str | None, _context: ssl.SSLContext) -> None:
        """Called in every handshake, also where no name is asked for: what was renewed counts from the next connection."""
        if time.monotonic() - self._looked >= LOOK_EVERY_S:
            self._looked = time.monotonic()
            self._read_again()
        if self._newest is not self.context:
            connection.context = self._newest

    def _read_again(self) -> None:
        try:
            stamp = self._look()
            if stamp == self._stamp:
                return
            self._newest = _context(self._files)
        except LedgerError as error:  # half of it may be there: the next look finds the rest
            logger.warning("the certificate stays what it was: %s", error.detail)
            return
        self._stamp = stamp
        logger.info("TLS files were read again: %s", self._files.certificate)

    def _look(self) -> tuple[tuple[int, int, int], ...]:
        try:
            found = [path.stat() for path in self._files if path is not None]
        except OSError as error:
            raise _refused(f"{error.filename}: {error.strerror}") from None
        return tuple((each.st_mtime_ns, each.st_ino, each.st_size) for each in found)


def _context(files: Files) -> ssl.SSLContext:
    if files.key.stat().st_mode & _OTHERS_READ:
        raise _refused(f"{files.key} can be read or written by every user: chmod o-rw it")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols([HTTP_1_1])
    try:
        context.load_cert_chain(files.certificate, files.key, password=_no_password)
    except (OSError, ssl.SSLError, ValueError) as error:
        raise _refused(f"{files.certificate} and {files.key}: {_why(error)}") from None
    if files.client_ca is not None:
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.num_tickets = 0
        context.verify_mode = ssl.CERT_OPTIONAL
        try:
            context.load_verify_locations(files.client_ca)
        except (OSError, ssl.SSLError) as error:
            raise _refused(f"{files.client_ca}: {_why(error)}") from None
    return context


def workload_shown(shown: ssl.SSLObject | ssl.SSLSocket | None) -> Workload | None:
    """Who a connection's client is; None where it showed no certificate, or one without exactly one SPIFFE ID.

    An X.509-SVID has one URI (SPIFFE X.509-SVID 2), so several are nobody's.
    """
    certificate = shown.getpeercert() if shown is not None else None
    if not certificate:
        return None
    names: Any = certificate.get("subjectAltName", ())
    uris = [value for kind, value in names if kind == "URI"]
    found = workload_of(uris)
    ends = certificate.get("notAfter")
    if found is None or not isinstance(ends, str):
        return None
    return Workload(found, ssl.cert_time_to_seconds(ends))


def _no_password() -> str:
    raise ValueError("the key is encrypted: nobody is there to type its password")


def _why(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return error.reason.replace("_", " ").lower() if error.reason else "no PEM of what it should be"
    return os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)


def _refused(why: str) -> LedgerError:
    return LedgerError(Code.TLS_FILES, f"TLS: {why}")
