"""Peers' receipts in an evidence file: whether what the log says of the other side of a call is proved by what it kept (docs/federation.md)."""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from ledger.core.crossing import claims_receipt, said_of, verify_kept
from ledger.core.entry import OWN_SUBMITTER, Entry
from ledger.core.errors import LedgerError
from ledger.core.keyhistory import KeyHistory
from ledger.core.note import VerifierKey, parse_vkey
from ledger.core.peerkeys import ADDED, FOLLOWED, PeerKeys

KEPT = "source.original"  # the content in which a record of a call keeps the other side's receipt


class PeersChecked(NamedTuple):
    """What was found.

    Attributes:
        held: entries whose kept receipt proves what they say of a peer's entry.
        not_checked: entries that say so, and whose receipt or the peer's key is not there.
        problems: (seq, what is wrong) of entries that say so, and whose receipt proves something else or nothing.
    """

    held: int
    not_checked: int
    problems: list[tuple[int, str]]


def check_peers(
    entries: Sequence[Entry],
    proved: Collection[int],
    kept: Mapping[int, bytes],
    origin: str,
    given: Iterable[VerifierKey],
) -> PeersChecked:
    """Check the receipts of peers.

    Args:
        entries: in order; only those in `proved` say whose key the log accepted.
        proved: the seqs of those whose place is proved.
        kept: by seq, the JSON of `KEPT`.
        origin: the log that they are of.
        given: peers' keys as the caller knows them: of these logs no other key counts, but those to which entries here prove that it leads.
    """
    known = _followed([entry for entry in entries if entry.seq in proved], given)
    named = {keys.origin for keys in known}
    accepted = PeerKeys()
    held, not_checked, problems = 0, 0, list[tuple[int, str]]()
    for entry in entries:
        if entry.seq in proved:
            accepted = _after(accepted, entry)
        if not claims_receipt(entry.members):
            continue
        said, receipt = said_of(entry.members), receipt_in(kept.get(entry.seq))
        peer = said.peer if said is not None else ""
        keys = [each for each in (known if peer in named else accepted.keys()) if each.origin == peer]
        if receipt is None or not keys:
            not_checked += 1
            continue
        try:
            verify_kept(entry.members, receipt, origin, keys)
        except LedgerError as error:
            problems.append((entry.seq, f"the receipt of {peer} that it keeps does not hold: {error.detail}"))
        else:
            held += 1
    return PeersChecked(held, not_checked, problems)


def receipt_in(kept: bytes | None) -> bytes | None:
    """The receipt in the JSON of `KEPT`, None where there is none."""
    try:
        value = json.loads(kept) if kept is not None else None
        receipt = value.get("receipt") if isinstance(value, dict) else None
        return receipt.encode() if isinstance(receipt, str) else None
    except (ValueError, RecursionError):
        return None


def about_peers(held: int, not_checked: int) -> Iterator[str]:
    """What the numbers mean, a sentence each."""
    if held:
        yield (
            f"{held} entries keep a receipt of a peer's log that proves what they say of it, under the peer's key as it was given, or as entries of "
            "the file accept it (log.witness_added) and follow it (log.peer_key_followed)."
        )
    if not_checked:
        yield (
            f"{not_checked} entries say that a peer's receipt held, and that was not checked: the receipt (source.original) is not disclosed, or the "
            "peer's key is neither given (--peer) nor accepted by an entry of the file (log.witness_added)."
        )


def _after(accepted: PeerKeys, entry: Entry) -> PeerKeys:
    """The log says whose key it accepts, follows it, or does neither any more."""
    ext = entry.members.get("ext")
    if entry.submitter != OWN_SUBMITTER or not isinstance(ext, dict):
        return accepted
    try:
        return accepted.after(str(entry.members.get("type")), ext)
    except LedgerError:
        return accepted


def _followed(entries: Iterable[Entry], given: Iterable[VerifierKey]) -> list[KeyHistory]:
    """The keys to which those that were given lead, by the proofs that entries have: these need no belief, whoever wrote them down."""
    told = PeerKeys()
    for entry in entries:
        ext = entry.members.get("ext")
        if entry.members.get("type") == FOLLOWED and isinstance(ext, dict):
            try:
                key = parse_vkey(str(ext.get("log.peer_log")))
                told = told if key in told.peers else told.after(ADDED, ext)
            except LedgerError:
                continue
            told = _after(told, entry)
    proofs = [peer.proved for peer in told.peers.values() if peer.proved is not None]
    return [next((proof for proof in proofs if key in proof.keys), KeyHistory.begin(key)) for key in given]
