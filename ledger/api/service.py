"""What the routes work with, and who is asking."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from starlette.requests import Request

from ledger.alerts.service import Alerts
from ledger.api.streams import Streams
from ledger.audit.scrub import Scrub
from ledger.console.oidc import SignIns
from ledger.console.sessions import Sessions, cookie_name, parse_cookie
from ledger.core.errors import Code, LedgerError
from ledger.forensics.catalog import NamedQuery
from ledger.forensics.service import QueryService
from ledger.log.log import Log
from ledger.telemetry import Telemetry
from ledger.trust.admission import Admission
from ledger.trust.quota import Quotas
from ledger.trust.roles import Operation, Principal
from ledger.trust.spiffe import HEADER as CERTIFICATE
from ledger.upkeep.offload import Offload
from ledger.witness.rounds import Witnesses

_SCHEME: Final = "bearer "
_SENDER: Final = "agent_ledger.sender"
_ORIGIN: Final = b"origin"
_SAFE: Final = frozenset({"GET", "HEAD"})
_SAME_ORIGIN: Final = "same-origin"  # Fetch Metadata: no script of any page can say so
_BY_PAGE: Final = b"x-console"  # a header that another site's form cannot send
_BY_ITSELF: Final = "poll"  # its value where nobody clicked: that keeps no session alive
WORKLOAD: Final = "agent_ledger.workload"  # where a scope has what `ledger.api.tls.workload_shown` found
LATER: Final = frozenset({Code.QUEUE_FULL, Code.QUOTA_EXCEEDED})  # nothing was taken: the same may come again


@dataclass(frozen=True)
class Service:
    """One log and everything around it.

    Attributes:
        admission: who is let in.
        require_facets: refuse actions with an unexplained missing facet.
        offload: the object store for sealed segments, where there is one.
        objects_keep: of how many newest segments the large files stay here; None is of all.
        four_eyes: what one administrator asks to erase, or to change of the log's keys, is done when another one confirms it.
        quotas: what each token appended lately, where that is limited.
        scrub: verifies what is sealed, round and round; None where nothing does.
        alerts: standing rules and who is told; None where none are configured.
        streams: who follows the log.
        witnesses: who cosigns the log's checkpoints; None where nobody is asked.
        sessions: who is signed in to the console.
        sign_ins: the issuers at which people sign in to it.
    """

    log: Log
    admission: Admission
    queries: QueryService
    catalog: Mapping[str, NamedQuery]
    telemetry: Telemetry = field(default_factory=Telemetry)
    require_facets: bool = False
    quotas: Quotas = field(default_factory=Quotas)
    scrub: Scrub | None = None
    alerts: Alerts | None = None
    streams: Streams = field(default_factory=Streams)
    offload: Offload | None = None
    objects_keep: int | None = None
    four_eyes: bool = False
    witnesses: Witnesses | None = None
    sessions: Sessions = field(default_factory=Sessions)
    sign_ins: SignIns = field(default_factory=SignIns)


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
        LedgerError: `unauthenticated`, `forbidden`; `quota-exceeded` to append where nothing more may be appended now.
    """
    serving = service(request)
    principal = _principal(request, serving.admission)
    request.scope[_SENDER] = principal.name
    if not principal.may(operation):
        roles = ", ".join(principal.roles)
        raise LedgerError(
            Code.FORBIDDEN,
            f"the credential {principal.name} ({roles}) may not do this: it needs the permission {operation}",
        )
    if operation is Operation.POST and principal.quota is not None:
        serving.quotas.refuse_spent(principal.name, principal.quota)
    return serving, principal


def sender(scope: Mapping[str, Any]) -> str:
    """The name of the credential that a request came with, "" where nobody asked for it."""
    name: str = scope.get(_SENDER, "")
    return name


def count_refusal(request: Request, code: Code) -> None:
    """Tell telemetry of a request that is refused; where it was too much, also whose."""
    telemetry = service(request).telemetry
    telemetry.refused(code)
    if code in LATER and (token := sender(request.scope)):
        telemetry.throttled(token, code)


def _principal(request: Request, admission: Admission) -> Principal:
    given = header(request, b"authorization")
    if not given and (session := session_shown(request)) is not None:
        return _signed_in(request, admission, session)
    if not given and (workload := _workload(request, admission)) is not None:
        return workload
    if given[: len(_SCHEME)].lower() != _SCHEME:
        raise LedgerError(
            Code.UNAUTHENTICATED,
            "a token is needed: Authorization: Bearer <token> (SDK and commands: AGENT_LEDGER_TOKEN); "
            "`agent-ledger token create` makes one",
        )
    principal = admission.bearer(given[len(_SCHEME) :].strip(" "))
    if principal is None:
        raise LedgerError(Code.UNAUTHENTICATED, "this token is not known here, was revoked, or has expired")
    return principal


def _workload(request: Request, admission: Admission) -> Principal | None:
    """Who asks by a certificate: shown here, or to a trusted proxy in front.

    Not a browser's page: a browser shows a certificate with what any page sends, and says which page it was.
    """
    if request.client is None or header(request, _ORIGIN):
        return None
    address = request.client.host
    if forwarded := header(request, CERTIFICATE):
        return admission.forwarded(address, forwarded)
    shown = request.scope.get(WORKLOAD)
    return None if shown is None else admission.shown(address, *shown)


def session_cookie(request: Request) -> tuple[str, bool]:
    """The name of the console's cookie where this request comes from, and whether the browser speaks TLS: with us, or with a trusted proxy that says so."""
    secure = request.scope["scheme"] == "https" or (
        request.client is not None
        and header(request, b"x-forwarded-proto") == "https"
        and service(request).admission.trusts(request.client.host)
    )
    return cookie_name(service(request).log.origin, secure=secure), secure


def session_shown(request: Request) -> str | None:
    """The id of the session that a request shows, whether or not there is one; None where it shows none."""
    given = header(request, b"cookie")
    return parse_cookie(given, session_cookie(request)[0]) if given else None


def follower(request: Request, principal: Principal) -> str:
    """Who has streams of their own: a credential, or one of the people who are signed in by one grant to an issuer's."""
    session = None if header(request, b"authorization") else session_shown(request)
    return (session and service(request).sessions.whose(session)) or principal.name


def own_page(request: Request) -> bool:
    """Whether the console's own page sent this: the browser says so, and what may change something says so itself."""
    if header(request, b"sec-fetch-site") != _SAME_ORIGIN:
        return False
    return request.method in _SAFE or bool(header(request, _BY_PAGE))


def _signed_in(request: Request, admission: Admission, session: str) -> Principal:
    if not own_page(request):
        raise LedgerError(
            Code.UNAUTHENTICATED,
            "a session counts for the console's own page alone: programs send Authorization: Bearer <token>",
        )
    sessions = service(request).sessions
    token = sessions.token(
        session, touch=header(request, _BY_PAGE) != _BY_ITSELF and not _asked_before(request)
    )
    found = None if token is None else admission.bearer(token)
    if found is None:
        sessions.end(session)
        raise LedgerError(Code.UNAUTHENTICATED, "this session has ended, or its token has: sign in again")
    return found


def _asked_before(request: Request) -> bool:
    """Whether who asks was looked up for this request already, as a stream does every second: its first time counts as use."""
    return bool(sender(request.scope))
