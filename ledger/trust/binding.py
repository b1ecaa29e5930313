"""For whom a credential may speak: what a record claims is compared with what its sender was granted.

A record that claims nothing is within: it says of nobody that they did it, and its entry names its submitter.
"""

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from ledger.core.errors import Code, LedgerError
from ledger.log.access import May
from ledger.records.prepared import Prepared

SHOWN_CHARACTERS: Final = 80


class _Identity(msgspec.Struct, frozen=True):
    agent_id: str | None = None
    agent_name: str | None = None


class _Source(msgspec.Struct, frozen=True):
    id: str | None = None


class _Resource(msgspec.Struct, frozen=True):
    tenant: str | None = None


class _Claims(msgspec.Struct, frozen=True):
    identity: _Identity = _Identity()
    source: _Source = _Source()
    resource: _Resource = _Resource()


_decode = msgspec.json.Decoder(_Claims).decode


class _Within:
    """Texts, and beginnings of texts."""

    def __init__(self, patterns: Sequence[str]) -> None:
        self._exact = frozenset(each for each in patterns if not each.endswith("*"))
        self._beginnings = tuple(each[:-1] for each in patterns if each.endswith("*"))

    def __contains__(self, text: str) -> bool:
        return text in self._exact or text.startswith(self._beginnings)


class Binding:
    """What one credential may claim."""

    def __init__(self, name: str, may: May, *, flags: bool) -> None:
        """Take a grant's restriction.

        Args:
            name: the credential's, for refusals.
            may: for whom it may speak.
            flags: whether a claim outside is recorded with an entry that says so; else it is refused.
        """
        self._name, self._flags = name, flags
        agents = _within(may.agents)
        self._members = (
            ("identity.agent_id", agents),
            ("identity.agent_name", agents),
            ("source.id", _within(may.sources)),
            ("resource.tenant", _within(may.tenants)),
        )

    def judged(self, items: Sequence[Prepared]) -> list[Prepared | LedgerError]:
        """Each record as it may be recorded, or why it is refused (`claim-outside`)."""
        return [self._judged(item) for item in items]

    def _judged(self, item: Prepared) -> Prepared | LedgerError:
        outside = dict(self._outside(item.record))
        if not outside:
            return item
        if self._flags:
            return item._replace(outside=tuple(outside))
        member, claimed = next(iter(outside.items()))
        return LedgerError(
            Code.CLAIM_OUTSIDE,
            f"{member} is {claimed[:SHOWN_CHARACTERS]!a}, for whom the credential {self._name} may not speak",
            path=member,
        )

    def _outside(self, record: bytes) -> Iterator[tuple[str, str]]:
        """The members that claim something this credential may not, with what they claim."""
        claims = _decode(record)
        claimed = (
            claims.identity.agent_id,
            claims.identity.agent_name,
            claims.source.id,
            claims.resource.tenant,
        )
        for (member, within), text in zip(self._members, claimed, strict=True):
            if within is not None and text is not None and text not in within:
                yield member, text


def _within(patterns: Sequence[str] | None) -> _Within | None:
    return None if patterns is None else _Within(patterns)
