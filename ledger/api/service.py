"""What the routes work with, and who is asking."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from starlette.requests import Request

from ledger.core.errors import Code, LedgerError
from ledger.forensics.catalog import NamedQuery
from ledger.forensics.service import QueryService
from ledger.log.log import Log
from ledger.telemetry import Telemetry
from ledger.trust.tokens import Operation, Principal, TokenStore

_SCHEME: Final = "bearer "


@dataclass(frozen=True)
class Service:
    """One log and everything around it.

    Attributes:
        require_facets: refuse actions with an unexplained missing facet.
    """

    log: Log
    tokens: TokenStore
    queries: QueryService
    catalog: Mapping[str, NamedQuery]
    telemetry: Telemetry = field(default_factory=Telemetry)
    require_facets: bool = False


def service(request: Request) -> Service:
    """The service that a request came to."""
    found: Service = request.app.state.service
    return found


def header(request: Request, name: bytes) -> str:
    """A request header by its lower-case name, "" where there is none. Starlette's own mapping costs several times as much.

    One that comes twice is joined by a comma (RFC 9110, 5.3), which no token and no encoding survives: somebody in between may have
    looked at the other one.
    """
    values = [value for found, value in request.scope["headers"] if found == name]
    return b", ".join(values).decode("latin-1")


def allow(request: Request, operation: Operation) -> tuple[Service, Principal]:
    """Who asks, when they may do this. Every route but health begins with it.

    Raises:
        LedgerError: `unauthenticated`, `forbidden`.
    """
    serving = service(request)
    principal = _principal(request, serving.tokens)
    if not principal.may(operation):
        roles = ", ".join(principal.roles)
        raise LedgerError(
            Code.FORBIDDEN,
            f"the token {principal.name} ({roles}) may not do this: it needs the permission {operation}",
        )
    return serving, principal


def _principal(request: Request, tokens: TokenStore) -> Principal:
    given = header(request, b"authorization")
    if given[: len(_SCHEME)].lower() != _SCHEME:
        raise LedgerError(
            Code.UNAUTHENTICATED,
            "a token is needed: Authorization: Bearer <token> (SDK and commands: AGENT_LEDGER_TOKEN); "
            "`agent-ledger token create` makes one",
        )
    principal = tokens.check(given[len(_SCHEME) :].strip(" "))
    if principal is None:
        raise LedgerError(Code.UNAUTHENTICATED, "this token is not known here, or was revoked")
    return principal
