"""Who asks, and what the roles permit: the one table of permissions."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from ledger.core.entry import parse_time
from ledger.core.errors import Code, LedgerError
from ledger.log.access import Admitted, Bearer, Jwt, Quota, Spiffe
from ledger.trust.binding import Binding

if TYPE_CHECKING:
    from ledger.log.plan import Plan  # commands against a ledger elsewhere need no database


class Operation(StrEnum):
    """What a request does, as far as permission goes."""

    POST = "post"  # append records
    LOG_PROOFS = "log-proofs"  # hashes only: the log's head, checkpoints, receipts, consistency proofs
    READ = "read"  # entries, tiles, tail, export
    CONTENTS = "contents"  # contents and persons, in whatever is read or asked; without it their commitments
    QUERY = "query"  # SQL and named queries
    VERIFY = "verify"  # run a verification on the server
    UPKEEP = "upkeep"  # seal, compact, back up, erase, retention and hold
    ACCESS = "access"  # say who may do what: credentials and agents' keys


class Role(StrEnum):
    """What a credential is for."""

    WRITER = "writer"
    READER = "reader"
    CONTENT_READER = "content-reader"
    AUDITOR = "auditor"
    ADMIN = "admin"


KINDS: Final = {Bearer: "token", Jwt: "jwt", Spiffe: "spiffe"}  # how an entry's submitter begins
_ROLES = {role.value: role for role in Role}
_READS = frozenset({Operation.LOG_PROOFS, Operation.READ, Operation.QUERY})

PERMISSIONS: Final[Mapping[Role, frozenset[Operation]]] = MappingProxyType(
    {
        Role.WRITER: frozenset({Operation.POST, Operation.LOG_PROOFS}),
        Role.READER: _READS,
        Role.CONTENT_READER: _READS | {Operation.CONTENTS},
        Role.AUDITOR: _READS | {Operation.VERIFY},
        Role.ADMIN: frozenset(Operation),
    }
)


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks.

    Attributes:
        name: the name that their credential was granted under.
        roles: what it was granted for.
        operations: what its roles permit together.
        submitter: what stands in the entries they write, `<kind of credential>:<name>`.
        quota: how much they may append, None where that is not limited.
        binding: for whom they may speak, None where for anybody.
        granted_by: the entry that admits them, None for whoever is admitted by a file of this machine.
        since: the entry from which on their name is theirs; earlier ones under it are somebody else's.
        until_us: when that ends, in microseconds since 1970; None where it does not by itself.
    """

    name: str
    roles: tuple[Role, ...]
    operations: frozenset[Operation]
    submitter: str
    quota: Quota | None = None
    binding: Binding | None = None
    granted_by: int | None = None
    until_us: int | None = None
    since: int = 0

    def may(self, operation: Operation) -> bool:
        """Whether one of the roles permits it."""
        return operation in self.operations

    def refuse_withdrawn(self, plan: "Plan") -> None:
        """See that the grant is still in force where the records it sent get their place: `ledger.log.plan.Check`.

        Raises:
            LedgerError: `unauthenticated`.
        """
        if self.granted_by is not None and not plan.standing.access.admits(self.granted_by, plan.recorded_at):
            raise LedgerError(
                Code.UNAUTHENTICATED,
                f"the credential {self.name} was revoked, or has expired, before this was written: nothing of it was",
            )


def principal(admitted: Admitted) -> Principal:
    """Who a grant admits."""
    grant = admitted.grant
    roles, operations = permitted(grant.roles)
    bound = grant.may is not None and Binding(grant.name, grant.may, flags=grant.outside == "flag")
    return Principal(
        grant.name,
        roles,
        operations,
        f"{KINDS[type(grant.credential)]}:{grant.name}",
        quota=grant.quota,
        binding=bound or None,
        granted_by=admitted.seq,
        until_us=None if admitted.until is None else parse_time(admitted.until),
        since=admitted.since,
    )


def permitted(roles: Iterable[str]) -> tuple[tuple[Role, ...], frozenset[Operation]]:
    """The roles among these texts, and what they permit together. A role that this release does not know permits nothing."""
    known = tuple(_ROLES[role] for role in dict.fromkeys(roles) if role in _ROLES)
    return known, frozenset[Operation]().union(*(PERMISSIONS[role] for role in known))
