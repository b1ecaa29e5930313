"""Workloads that a proxy in front of the ledger knows by their client certificate: mutual TLS ends there, and its word comes as a header.

The header is Envoy's `X-Forwarded-Client-Cert` (https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_conn_man/headers, of which others
write the same): elements for the hops, separated by commas, the last one the proxy's own; in each, `key=value` pairs separated by semicolons, a value in quotes where
it has one of these characters. It counts from the addresses of trusted proxies alone, and there only if nothing in it can be read in two ways.
"""

import ipaddress
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from ledger.core.errors import Code, LedgerError
from ledger.log.access import is_spiffe_id

HEADER: Final = b"x-forwarded-client-cert"
MAX_BYTES: Final = 16 * 1024
_PAIR: Final = re.compile(r'[ \t]*([A-Za-z]{1,16})=(?:"((?:[^"\\]|\\.)*)"|([^",;\\]*))[ \t]*([,;]|\Z)')
_URI: Final = "uri"

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class TrustedProxies:
    """The addresses whose word about client certificates counts."""

    def __init__(self, networks: Sequence[str]) -> None:
        """Take networks like `10.0.0.0/8` or single addresses.

        Raises:
            LedgerError: `invalid-parameter`: one is none, or is all addresses there are.
        """
        self._networks = [_network(each) for each in networks]

    def trust(self, address: str) -> bool:
        """Whether a connection from this address is a trusted proxy's."""
        try:
            found = ipaddress.ip_address(address)
        except ValueError:
            return False
        if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is not None:
            found = found.ipv4_mapped
        return any(found in network for network in self._networks)


@lru_cache(maxsize=1024)
def workload(forwarded: str) -> str | None:
    """The SPIFFE ID in the last element of a header; None where that has none, has several URIs, or the header breaks its grammar."""
    if len(forwarded) > MAX_BYTES or not forwarded.isprintable():
        return None
    elements = _parse(forwarded)
    return workload_of([value for key, value in elements[-1] if key == _URI] if elements else [])


def workload_of(uris: Sequence[str]) -> str | None:
    """The SPIFFE ID of a certificate with these URIs; None where it has none or several (SPIFFE X.509-SVID, section 2)."""
    return uris[0] if len(uris) == 1 and is_spiffe_id(uris[0]) else None


def _parse(text: str) -> list[list[tuple[str, str]]]:
    """The elements as pairs, keys in lower case; nothing at all where one breaks the grammar."""
    elements: list[list[tuple[str, str]]] = [[]]
    at = 0
    while True:
        pair = _PAIR.match(text, at)
        if pair is None:
            return []
        key, quoted, plain, end = pair.groups()
        elements[-1].append((key.lower(), plain if quoted is None else re.sub(r"\\(.)", r"\1", quoted)))
        if not end:
            return elements
        if end == ",":
            elements.append([])
        at = pair.end()


def _network(text: str) -> Network:
    try:
        network = ipaddress.ip_network(text)
    except ValueError as error:
        raise _refused(f"{text!a} is no network: {error}") from None
    if network.prefixlen == 0:
        raise _refused(f"{text} is every address: then anybody could say who they are")
    return network


def _refused(why: str) -> LedgerError:
    return LedgerError(Code.INVALID_PARAMETER, f"--trusted-proxy: {why}", path="trusted_proxy")
