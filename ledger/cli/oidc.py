"""The file of issuers whose access tokens are taken: TOML, read strictly. Nothing else names an address that keys are fetched from.

[[issuer]]
issuer = "https://login.example.com"
jwks_url = "https://login.example.com/keys"
algorithms = ["RS256", "ES256"]
"""

import tomllib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal

import msgspec
from msgspec import Meta, Struct

from ledger.alerts.outbound import DeliveryError, Endpoint, Rules, get, parse_endpoint, tls_context
from ledger.core.errors import Code, LedgerError
from ledger.log.access import Text
from ledger.records.bounded import read_bounded

if TYPE_CHECKING:
    from ledger.trust.jwt import Issuer, Tokens

MAX_FILE_BYTES: Final = 256 * 1024
MAX_ISSUERS: Final = 20
FETCH_TIMEOUT_S: Final = 10.0
MAX_LEEWAY_S: Final = 300

Algorithm = Literal[
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519"
]


class IssuerSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """One issuer.

    Attributes:
        issuer: what its tokens say as `iss`, exactly.
        jwks_url: where its keys are.
        algorithms: what it may sign with; never a secret that both know, never `none`.
        leeway_s: how far its clock may be off.
        allow_private: its address may be private, and http.
        ca_file: an authority of one's own for its certificate.
    """

    issuer: Text
    jwks_url: Text
    algorithms: Annotated[tuple[Algorithm, ...], Meta(min_length=1)] = ("RS256",)
    leeway_s: Annotated[int, Meta(ge=0, le=MAX_LEEWAY_S)] = 30
    allow_private: bool = False
    ca_file: str | None = None


class _File(Struct, frozen=True, forbid_unknown_fields=True):
    issuer: Annotated[tuple[IssuerSettings, ...], Meta(min_length=1, max_length=MAX_ISSUERS)]


def read_issuers(path: Path) -> "list[Issuer]":
    """The issuers that a file names, none of their keys fetched yet.

    Raises:
        LedgerError: `oidc-file`: what is wrong with it, or what is to be installed.
    """
    try:
        from ledger.trust.jwks import Jwks  # noqa: PLC0415 - an extra
        from ledger.trust.jwt import Issuer  # noqa: PLC0415
    except ModuleNotFoundError:
        raise _refused(path, "access tokens of an issuer need `pip install 'agent-ledger[oidc]'`") from None
    issuers = []
    for each in _read(path):
        fetch = _Fetching(_endpoint(path, each), _rules(path, each))
        issuers.append(Issuer(each.issuer, Jwks(each.issuer, fetch), each.algorithms, each.leeway_s))
    return issuers


@contextmanager
def fresh_tokens(issuers: "Sequence[Issuer]") -> "Iterator[Tokens | None]":
    """What verifies the tokens of these issuers, whose keys are kept fresh meanwhile; None where there is no issuer."""
    if not issuers:
        yield None
        return
    from ledger.trust.jwks import Refreshing  # noqa: PLC0415 - an extra
    from ledger.trust.jwt import Tokens  # noqa: PLC0415

    refreshing = Refreshing([each.keys for each in issuers])
    try:
        yield Tokens(issuers)
    finally:
        refreshing.close()


class _Fetching:
    """Brings the keys of one issuer, by the rules for everything that this server reaches out to."""

    def __init__(self, endpoint: Endpoint, rules: Rules) -> None:
        self._endpoint, self._rules = endpoint, rules

    def __call__(self) -> bytes:
        from ledger.trust.jwks import FetchError  # noqa: PLC0415 - an extra

        try:
            return get(self._endpoint, {"Accept": "application/json"}, self._rules).body
        except DeliveryError as error:
            raise FetchError(str(error)) from None


def _read(path: Path) -> Sequence[IssuerSettings]:
    try:
        data = read_bounded(path, MAX_FILE_BYTES)
        found = msgspec.convert(tomllib.loads(data.decode("utf-8")), _File).issuer
    except OSError as error:
        raise _refused(path, f"it cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, msgspec.ValidationError) as error:
        raise _refused(path, str(error)) from None
    if len({each.issuer for each in found}) < len(found):
        raise _refused(path, "an issuer is there twice")
    return found


def _endpoint(path: Path, settings: IssuerSettings) -> Endpoint:
    try:
        return parse_endpoint(settings.jwks_url, allow_private=settings.allow_private)
    except ValueError as error:
        raise _refused(path, f"jwks_url of {settings.issuer!a}: {error}") from None


def _rules(path: Path, settings: IssuerSettings) -> Rules:
    try:
        return Rules(settings.allow_private, tls_context(settings.ca_file), FETCH_TIMEOUT_S)
    except LedgerError as error:
        raise _refused(path, error.detail) from None


def _refused(path: Path, why: str) -> LedgerError:
    return LedgerError(Code.OIDC_FILE, f"{path}: {why}")
