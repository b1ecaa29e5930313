"""Who may do what, as the log's own entries say. Docs: docs/access.md; the entries' form: docs/format.md, appendix A.

    log.access_granted  {"log.name": "gw-eu-1", "log.roles": ["writer"], "log.credential": {"type": "bearer", "sha256": "<64 hex>"}, "log.by": "token:cli"}
    log.access_revoked  {"log.name": "gw-eu-1", "log.by": "token:cli"}

The keys of agents are granted by entries of the same types, which name a key id and no credential: see `ledger.log.standing`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Final, Literal, NamedTuple

import msgspec
from msgspec import Meta

from ledger.core.entry import parse_time
from ledger.core.errors import Code, LedgerError

LOCAL_NAME: Final = "cli"  # whoever has the file `cli.token`: outside the log
NAME: Final = r"^[a-z0-9-]{1,64}\Z"
MAX_RATE: Final = 1_000_000_000_000
MAX_ID_CHARACTERS: Final = 2_048  # of a SPIFFE ID (SPIFFE-ID, section 2.3)
MAX_PATTERNS: Final = 100
MAX_CLAIMS: Final = 8

_SPIFFE_ID: Final = re.compile(r"spiffe://[a-z0-9._-]{1,255}(/[A-Za-z0-9._-]+)+", re.ASCII)
_DOTS: Final = frozenset({".", ".."})

Text = Annotated[str, Meta(min_length=1, max_length=256)]
Patterns = Annotated[tuple[Text, ...], Meta(max_length=MAX_PATTERNS)]
Rate = Annotated[int, Meta(ge=1, le=MAX_RATE)]


class _Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What this release does not know may be a restriction: it is not skipped."""


class Bearer(_Strict, frozen=True, tag_field="type", tag="bearer"):
    """A secret that is sent along (RFC 6750).

    Attributes:
        sha256: of its text, 64 hex digits. The secret is random, so the plain hash cannot be guessed back.
    """

    sha256: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]


class Jwt(_Strict, frozen=True, tag_field="type", tag="jwt"):
    """An access token that an issuer signed (RFC 7519, RFC 9068).

    Attributes:
        issuer: its `iss`, exactly.
        audience: what its `aud` must be or hold.
        claims: claim → the text that it must be, or hold where it is a list.
    """

    issuer: Text
    audience: Text
    claims: Annotated[dict[Text, Text], Meta(min_length=1, max_length=MAX_CLAIMS)]


class Spiffe(_Strict, frozen=True, tag_field="type", tag="spiffe"):
    """The SPIFFE ID of a client certificate, as a trusted proxy found it.

    Attributes:
        id: `spiffe://<trust domain>/<path>`.
    """

    id: Annotated[str, Meta(max_length=MAX_ID_CHARACTERS)]

    def __post_init__(self) -> None:
        if not is_spiffe_id(self.id):
            raise ValueError("a SPIFFE ID is spiffe://<trust domain>/<path>")


Credential = Bearer | Jwt | Spiffe


class Quota(_Strict, frozen=True):
    """What a credential may append in the long run; ten times as much at once. None: as much as it likes.

    Attributes:
        records_per_s: records.
        bytes_per_s: bytes of records as they were sent, decompressed.
    """

    records_per_s: Rate | None = None
    bytes_per_s: Rate | None = None

    def __str__(self) -> str:
        """In words."""
        parts = [(self.records_per_s, "records/s"), (self.bytes_per_s, "bytes/s")]
        return ", ".join(f"{rate} {unit}" for rate, unit in parts if rate is not None)


class May(_Strict, frozen=True):
    """For whom a writer may speak: texts, or beginnings of texts with a `*` at their end. None: for anybody.

    Attributes:
        agents: `identity.agent_id` and `identity.agent_name`.
        sources: `source.id`.
        tenants: `resource.tenant`.
    """

    agents: Patterns | None = None
    sources: Patterns | None = None
    tenants: Patterns | None = None


class Grant(_Strict, frozen=True, rename=lambda name: f"log.{name}"):
    """The payload of `log.access_granted` that grants a credential.

    Attributes:
        name: who it is; several credentials have one name only while it is rotated.
        roles: what it is for (`ledger.trust.roles`). One that a release does not know permits nothing there.
        credential: what shows that it is them.
        by: who granted it: a submitter, or `folder` for whoever works on the data folder itself.
        expires_at: until then, RFC 3339.
        quota: how much it may append.
        may: for whom it may speak.
        outside: whether a record that speaks for somebody else is refused, or recorded with an entry that says so.
        overlap_until: a rotation: the credentials of this name before it hold until then.
    """

    name: Annotated[str, Meta(pattern=NAME)]
    roles: Annotated[tuple[Text, ...], Meta(min_length=1, max_length=16)]
    credential: Credential
    by: Text
    expires_at: str | None = None
    quota: Quota | None = None
    may: May | None = None
    outside: Literal["refuse", "flag"] = "refuse"
    overlap_until: str | None = None

    def __post_init__(self) -> None:
        for time in (self.expires_at, self.overlap_until):
            try:
                _ = time is None or parse_time(time)
            except LedgerError:
                raise ValueError("a time is like 2026-11-21T09:30:00.123456Z") from None


class Admitted(NamedTuple):
    """A grant in force.

    Attributes:
        grant: what it says.
        seq: the entry that says it.
        at: when that was made, RFC 3339.
        until: when it ends, by itself or by a rotation; as text such times are ordered as in time.
        through: the submitters through whose hands it came: who granted it, who granted that one's, and so on.
        since: the entry from which on the name is theirs who have it now; whoever had it before was somebody else.
    """

    grant: Grant
    seq: int
    at: str
    until: str | None
    through: frozenset[str] = frozenset()
    since: int = 0

    def holds(self, at: str) -> bool:
        """Whether it is in force at this time."""
        return self.until is None or at < self.until


@dataclass(frozen=True, slots=True)
class Access:
    """The credentials in force after some entry, by the entry that granted them. Never changed: a later one is made of it."""

    admitted: Mapping[int, Admitted] = field(default_factory=dict)

    def admits(self, seq: int, at: str) -> bool:
        """Whether the credential that entry `seq` granted holds for an entry that is recorded at this time."""
        found = self.admitted.get(seq)
        return found is not None and found.holds(at)

    def of(self, name: str, at: str) -> list[Admitted]:
        """The credentials that a name has at this time, oldest first."""
        return [each for each in self.admitted.values() if each.grant.name == name and each.holds(at)]

    def granted(self, ext: Mapping[str, Any], at: str, seq: int) -> "Access":
        """What holds after entry `seq` has granted a credential; what has expired until then is forgotten.

        Raises:
            LedgerError: `token-exists` (the name or the credential has a grant in force), `not-found` (nothing to rotate),
                `reserved-name`, `invalid-parameter`: it is no grant of this format.
        """
        try:
            grant = msgspec.convert(dict(ext), Grant)
        except msgspec.ValidationError as error:
            raise LedgerError(Code.INVALID_PARAMETER, f"this is no grant of a credential: {error}") from None
        left = {known: each for known, each in self.admitted.items() if each.holds(at)}
        self._refuse(grant, at)
        if grant.overlap_until is not None:
            left |= {
                known: each._replace(until=_sooner(each.until, grant.overlap_until))
                for known, each in left.items()
                if each.grant.name == grant.name
            }
        through = frozenset({grant.by}).union(
            *(each.through for each in left.values() if each.grant.name == grant.by.partition(":")[2])
        )
        rotated = [each.since for each in left.values() if each.grant.name == grant.name]
        granted = Admitted(grant, seq, at, grant.expires_at, through, min(rotated, default=seq))
        return Access({**left, seq: granted})

    def revoked(self, ext: Mapping[str, Any], at: str) -> "Access":
        """What holds after an entry has revoked all credentials of a name.

        Raises:
            LedgerError: `not-found`.
        """
        name = ext.get("log.name")
        if not isinstance(name, str) or not self.of(name, at):
            raise LedgerError(Code.NOT_FOUND, f"there is no credential {str(name)[:80]!a} in force")
        return Access({seq: each for seq, each in self.admitted.items() if each.grant.name != name})

    def refuse_as_second(self, by: str, granted_by: int | None, *, asked_by: str, asked_in: int) -> None:
        """See that whoever confirms is another than who asked, as far as the log can tell: four eyes.

        A credential that was made after the request, or that came through the hands of whoever asked, may be their own. So may two grants to people of one
        issuer, of whom one gets a token for either audience. Who has the file of this machine, or the folder, is not held to the second: they decide whether
        the server asks for four eyes at all.

        Args:
            by: the submitter who confirms.
            granted_by: the entry that granted their credential; None for whoever is admitted by a file of this machine.
            asked_by: the submitter who asked.
            asked_in: the entry in which they did.

        Raises:
            LedgerError: `forbidden`.
        """
        if by == asked_by:
            raise LedgerError(
                Code.FORBIDDEN, f"{by} asked for this: another administrator's token has to confirm it"
            )
        if granted_by is None:
            return
        if granted_by > asked_in:
            raise LedgerError(
                Code.FORBIDDEN,
                f"the credential of {by} was made in entry {granted_by}, after this was asked for in entry {asked_in}: "
                "one that was there before has to confirm it, or ask anew",
            )
        found = self.admitted.get(granted_by)
        if asked_by != f"token:{LOCAL_NAME}" and (found is None or asked_by in found.through):
            raise LedgerError(
                Code.FORBIDDEN,
                f"the credential of {by} came through the hands of {asked_by}, who asked for this: one has to confirm it that others granted "
                f"(`agent-ledger token rotate` by another administrator makes it one)",
            )
        if found is not None and self._may_be_one(found.grant.credential, asked_by, asked_in):
            raise LedgerError(
                Code.FORBIDDEN,
                f"{by} and {asked_by} may be one person of one issuer, who gets a token for either: "
                "somebody has to confirm it whom a grant of the same audience tells apart, or a token",
            )

    def _may_be_one(self, confirms: Credential, asked_by: str, asked_in: int) -> bool:
        """Whether an issuer may have signed in one person by this grant and by that of whoever asked.

        A token that fits two grants admits nobody (`ledger.trust.jwt`), so two of one audience tell people apart. Two of different audiences do not, whatever
        `sub` they name: an issuer may call one person differently for each. Of a grant that is gone nobody knows.
        """
        kind, _, name = asked_by.partition(":")
        if not isinstance(confirms, Jwt) or kind != "jwt":
            return False
        granted = [each for each in self.admitted.values() if each.grant.name == name and each.seq < asked_in]
        asked = [each.grant.credential for each in granted if isinstance(each.grant.credential, Jwt)]
        return not asked or any(
            each.issuer == confirms.issuer and each.audience != confirms.audience for each in asked
        )

    def _refuse(self, grant: Grant, at: str) -> None:
        name = grant.name
        if name == LOCAL_NAME:
            raise LedgerError(
                Code.RESERVED_NAME,
                f"{name} is whoever has the file {name}.token of this machine: take another name",
            )
        known = bool(self.of(name, at))
        if known and grant.overlap_until is None:
            raise LedgerError(
                Code.TOKEN_EXISTS,
                f"there is a credential {name} already; revoke or rotate it, or take another name",
            )
        if not known and grant.overlap_until is not None:
            raise LedgerError(
                Code.NOT_FOUND, f"there is no credential {name!a} in force that could be rotated"
            )
        for each in self.admitted.values():
            if each.holds(at) and each.grant.credential == grant.credential:
                raise LedgerError(
                    Code.TOKEN_EXISTS,
                    f"this credential is {each.grant.name}'s: an entry could not say whose it was",
                )


def is_spiffe_id(text: str) -> bool:
    """Whether a text is the SPIFFE ID of a workload (SPIFFE-ID, section 2)."""
    fits = len(text) <= MAX_ID_CHARACTERS and _SPIFFE_ID.fullmatch(text) is not None
    return fits and _DOTS.isdisjoint(text.split("/"))


def _sooner(one: str | None, other: str) -> str:
    return other if one is None else min(one, other)
