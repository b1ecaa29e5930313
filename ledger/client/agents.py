"""Agents' own signatures in an evidence file: whether what stands in an entry is what the agent signed, whoever has the log's key.

The keys come from entries of the file alone (`log.access_granted`, docs/format.md); what they grant and revoke holds for the entries behind them.
"""

from collections.abc import Collection, Iterable, Iterator
from typing import NamedTuple

from ledger.core.entry import OWN_SUBMITTER, Entry
from ledger.core.stretch import Own, follow_agent_keys, signature_holds
from ledger.core.text import parse_base64

_REVOKED = "log.access_revoked"


class AgentsChecked(NamedTuple):
    """What was found.

    Attributes:
        held: entries that are signed by their agent.
        not_checked: entries that are signed under a key which no entry of the file grants.
        problems: (seq, what is wrong) of entries whose signature does not hold, or comes behind the revocation of its key.
    """

    held: int
    not_checked: int
    problems: list[tuple[int, str]]


def check_agents(entries: Iterable[Entry], proved: Collection[int], origin: str) -> AgentsChecked:
    """Check the signatures of entries in order; only those in `proved` grant or revoke a key."""
    keys: dict[str, bytes] = {}
    revoked: set[str] = set()
    held, not_checked, problems = 0, 0, list[tuple[int, str]]()
    for entry in entries:
        own = _own(entry) if entry.seq in proved else None
        if own is not None:
            follow_agent_keys(keys, own)
            if own.type == _REVOKED:
                revoked.add(str(own.ext.get("log.key_id")))
        if entry.signature is None:
            continue
        key_id, signature = entry.signature
        if key_id in revoked:
            said = f"it is signed with the agent key {key_id}, which an entry before it here revokes"
            problems.append((entry.seq, said))
        elif key_id not in keys:
            not_checked += 1
        elif signature_holds(keys[key_id], origin, entry.record, parse_base64(signature)):
            held += 1
        else:
            said = f"the signature of the agent key {key_id} does not hold: this is not what the agent signed"
            problems.append((entry.seq, said))
    return AgentsChecked(held, not_checked, problems)


def about_agents(held: int, not_checked: int) -> Iterator[str]:
    """What the numbers mean, a sentence each."""
    if held:
        yield (
            f"{held} entries are signed by their agent, under keys that entries of the file grant. That no key was revoked before it signed, "
            "only the whole log shows."
        )
    if not_checked:
        yield (
            f"{not_checked} entries are signed by an agent, and that was not checked: the entry of the agent's key (log.access_granted) is not in "
            "the evidence."
        )


def _own(entry: Entry) -> Own | None:
    kind, ext = entry.members.get("type"), entry.members.get("ext")
    if entry.submitter != OWN_SUBMITTER or not isinstance(kind, str) or not isinstance(ext, dict):
        return None
    return Own(entry.seq, kind, ext)
