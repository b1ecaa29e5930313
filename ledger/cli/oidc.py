"""The file of issuers whose access tokens are taken: TOML, read strictly. Nothing else names an address that keys are fetched from.

[[issuer]]
issuer = "https://login.example.com"
jwks_url = "https://login.example.com/keys"
algorithms = ["RS256", "ES256"]

[issuer.console]
client_id = "agent-ledger"
authorization_endpoint = "https://login.example.com/authorize"
token_endpoint = "https://login.example.com/token"
"""

import base64
import os
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal
from urllib.parse import quote, urlencode, urlsplit

import msgspec
from msgspec import Meta, Struct

from ledger.alerts.outbound import (
    DeliveryError,
    Endpoint,
    Rules,
    get,
    parse_endpoint,
    post,
    read_secret,
    tls_context,
)
from ledger.console.oidc import CALLBACK, ExchangeError, Provider, SignIns
from ledger.core.errors import Code, LedgerError
from ledger.log.access import Text
from ledger.records.bounded import read_bounded

if TYPE_CHECKING:
    from ledger.trust.jwt import Issuer, Tokens

MAX_FILE_BYTES: Final = 256 * 1024
MAX_ISSUERS: Final = 20
FETCH_TIMEOUT_S: Final = 10.0
MAX_LEEWAY_S: Final = 300
_BACK: Final = re.compile(re.escape(CALLBACK) + r"(/[a-z0-9-]{1,64})?", re.ASCII)
_THIS_MACHINE: Final = frozenset({"127.0.0.1", "::1", "localhost"})

Algorithm = Literal[
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519"
]


class ConsoleSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """How people sign in to the console at an issuer.

    Attributes:
        client_id: how the issuer knows this ledger.
        authorization_endpoint: where browsers are sent.
        token_endpoint: where this server trades codes for tokens.
        redirect_uri: where browsers come back to: the ledger's own address, then `/console/oidc/callback`, where there are several issuers
            with `/` and a name of this one behind it. Needed but on this machine.
        client_secret_env: the variable that has the client's secret.
        client_secret_file: or the file. Neither: a public client, which PKCE alone protects.
        scope: what is asked for.
        label: what the page calls it; its host where nothing is said.
    """

    client_id: Text
    authorization_endpoint: Text
    token_endpoint: Text
    redirect_uri: Text | None = None
    client_secret_env: Text | None = None
    client_secret_file: Text | None = None
    scope: Text = "openid"
    label: Text | None = None


class IssuerSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """One issuer.

    Attributes:
        issuer: what its tokens say as `iss`, exactly.
        jwks_url: where its keys are.
        algorithms: what it may sign with; never a secret that both know, never `none`.
        leeway_s: how far its clock may be off.
        allow_private: its address may be private, and http.
        ca_file: an authority of one's own for its certificate.
        console: people sign in to the console there.
    """

    issuer: Text
    jwks_url: Text
    algorithms: Annotated[tuple[Algorithm, ...], Meta(min_length=1)] = ("RS256",)
    leeway_s: Annotated[int, Meta(ge=0, le=MAX_LEEWAY_S)] = 30
    allow_private: bool = False
    ca_file: str | None = None
    console: ConsoleSettings | None = None


class _File(Struct, frozen=True, forbid_unknown_fields=True):
    issuer: Annotated[tuple[IssuerSettings, ...], Meta(min_length=1, max_length=MAX_ISSUERS)]


def read_oidc(path: Path | None) -> "tuple[list[Issuer], SignIns]":
    """The issuers of a file, and those of them at which people sign in; nobody without a file.

    Raises:
        LedgerError: `oidc-file`.
    """
    if path is None:
        return [], SignIns()
    return read_issuers(path), SignIns(read_providers(path))


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
        fetch = _Fetching(_endpoint(path, each, "jwks_url", each.jwks_url), _rules(path, each))
        issuers.append(Issuer(each.issuer, Jwks(each.issuer, fetch), each.algorithms, each.leeway_s))
    return issuers


def read_providers(path: Path, environment: Mapping[str, str] = os.environ) -> list[Provider]:
    """Where people sign in to the console: of the issuers of a file those that say how.

    Raises:
        LedgerError: `oidc-file`: what is wrong with it.
    """
    named = [(each, each.console) for each in _read(path) if each.console is not None]
    made = [
        _provider(path, issuer, console, environment, CALLBACK if len(named) == 1 else f"{CALLBACK}/{number}")
        for number, (issuer, console) in enumerate(named)
    ]
    if len({each.path for each in made}) < len(made):
        raise _refused(
            path,
            f"several issuers have one redirect_uri, and could have each other's codes: give each its own, {CALLBACK}/<name>",
        )
    return made


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


class _Exchanging:
    """Trades codes for tokens with one issuer, by the same rules (RFC 6749, 4.1.3; a secret goes as 2.3.1 has it)."""

    def __init__(self, endpoint: Endpoint, rules: Rules, client_id: str, secret: str | None) -> None:
        self._endpoint, self._rules = endpoint, rules
        self._headers = {"Accept": "application/json", "Content-Type": "application/x-www-form-urlencoded"}
        self._more = {"client_id": client_id} if secret is None else {}
        if secret is not None:
            pair = f"{quote(client_id, safe='')}:{quote(secret, safe='')}"
            self._headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"

    def __call__(self, asked: Mapping[str, str]) -> bytes:
        body = urlencode({**asked, **self._more}).encode()
        try:
            return post(self._endpoint, body, self._headers, self._rules).body
        except DeliveryError as error:
            raise ExchangeError(str(error)) from None


def _provider(
    path: Path, issuer: IssuerSettings, console: ConsoleSettings, environment: Mapping[str, str], back: str
) -> Provider:
    token = _endpoint(path, issuer, "token_endpoint", console.token_endpoint)
    login = _endpoint(path, issuer, "authorization_endpoint", console.authorization_endpoint)
    try:
        secret = read_secret(console.client_secret_env, console.client_secret_file, environment)
    except ValueError as error:
        raise _refused(path, f"the client secret of {issuer.issuer!a}: {error}") from None
    if "openid" not in console.scope.split():
        raise _refused(path, f"scope of {issuer.issuer!a} has no `openid`: there would be no ID token")
    redirect_uri = console.redirect_uri
    return Provider(
        issuer=issuer.issuer,
        label=console.label or login.host,
        client_id=console.client_id,
        authorization_endpoint=console.authorization_endpoint,
        redirect_uri=redirect_uri,
        path=back if redirect_uri is None else _returning(path, redirect_uri),
        scope=console.scope,
        exchange=_Exchanging(token, _rules(path, issuer), console.client_id, secret),
    )


def _returning(path: Path, url: str) -> str:
    """The path of an address to come back to: ours, over TLS or on this machine."""
    try:
        at = parse_endpoint(url, allow_private=urlsplit(url).hostname in _THIS_MACHINE)
    except ValueError as error:
        raise _refused(path, f"redirect_uri: {error}") from None
    if not _BACK.fullmatch(at.path):
        raise _refused(
            path, f"redirect_uri is the ledger's own address, then {CALLBACK} or {CALLBACK}/<name>"
        )
    return at.path


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


def _endpoint(path: Path, settings: IssuerSettings, name: str, url: str) -> Endpoint:
    try:
        return parse_endpoint(url, allow_private=settings.allow_private)
    except ValueError as error:
        raise _refused(path, f"{name} of {settings.issuer!a}: {error}") from None


def _rules(path: Path, settings: IssuerSettings) -> Rules:
    try:
        return Rules(settings.allow_private, tls_context(settings.ca_file), FETCH_TIMEOUT_S)
    except LedgerError as error:
        raise _refused(path, error.detail) from None


def _refused(path: Path, why: str) -> LedgerError:
    return LedgerError(Code.OIDC_FILE, f"{path}: {why}")
