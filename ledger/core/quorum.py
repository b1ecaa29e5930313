"""Whether enough independent witnesses saw a checkpoint, and when: a policy applied to a signed note, offline."""

from dataclasses import dataclass

from ledger.core.checkpoint import Checkpoint
from ledger.core.errors import Code, VerificationError
from ledger.core.keyhistory import KeyHistory
from ledger.core.note import COSIGNATURE_V1, TIMESTAMP_BYTES, Note, VerifierKey, open_note
from ledger.core.policy import NONE, Policy


@dataclass(frozen=True, slots=True)
class Witnessed:
    """A checkpoint that meets a policy.

    Attributes:
        checkpoint: what it says.
        by: the witnesses and groups of the policy that cosigned it, by name.
        quorum: the one of them that had to; `none`: nobody had to, and nobody outside vouches for it.
        seconds: the log had nothing larger at this time, as the quorum says, in seconds since 1970; None where nobody had to.
    """

    checkpoint: Checkpoint
    by: tuple[str, ...]
    quorum: str
    seconds: int | None

    @property
    def what(self) -> str:
        """How to name it in a report."""
        return f"checkpoint cosigned by {self.quorum} ({', '.join(name for name in self.by if name != self.quorum) or 'itself'})"


def verify_witnessed(
    note: bytes, policy: Policy, log: KeyHistory, *, now: int | None = None, max_age_s: int | None = None
) -> Witnessed:
    """Check that a checkpoint is signed by its log and cosigned by the policy's quorum.

    Args:
        note: the signed checkpoint.
        policy: whose word counts.
        log: the log's keys.
        now: seconds since 1970.
        max_age_s: cosignatures from before `now` minus this, and those that say they are from later than `now`, count for nothing.

    Raises:
        FormatError: it is no signed checkpoint.
        VerificationError: `not-witnessed`: by too few of them, or too long ago; others: it is not the log's, or a line of a known key does
            not hold.
    """
    checkpoint = log.open(note)
    if policy.logs and not {each.key for each in policy.logs} & {*log.keys}:
        raise VerificationError(
            Code.UNKNOWN_SIGNER, f"the policy does not name the log {log.origin} with a key of it"
        )
    times = cosignature_times(open_note(note, [*log.keys, *policy.witness_keys()]))
    counted = times
    if now is not None and max_age_s is not None:
        counted = {key: at for key, at in times.items() if now - max_age_s <= at <= now + max_age_s}
    if policy.is_met(counted):
        return Witnessed(checkpoint, policy.met_by(counted), policy.quorum, _since(policy, counted))
    there = ", ".join(policy.met_by(times)) or "none of the policy's witnesses"
    detail = (
        f"the quorum {policy.quorum} has not cosigned this checkpoint of size {checkpoint.size}: {there} has"
    )
    if policy.is_met(times):
        oldest = _since(policy, times) or 0
        detail = (
            f"the quorum {policy.quorum} cosigned this checkpoint of size {checkpoint.size} {(now or 0) - oldest} s ago, more than the "
            f"{max_age_s} s allowed: something newer may be kept from you"
        )
    raise VerificationError(Code.NOT_WITNESSED, detail)


def cosignature_times(opened: Note) -> dict[VerifierKey, int]:
    """Of each witness whose cosignature holds, the newest time that one states."""
    times: dict[VerifierKey, int] = {}
    known = {(key.name, key.key_id): key for key in opened.verified_keys}
    for line in opened.signatures:
        key = known.get((line.name, line.key_id))
        if key is not None and key.algorithm == COSIGNATURE_V1:
            at = int.from_bytes(line.signature[:TIMESTAMP_BYTES], "big")
            times[key] = max(at, times.get(key, 0))
    return times


def _since(policy: Policy, times: dict[VerifierKey, int]) -> int | None:
    """The latest time from which on a quorum's cosignatures are: with those of before it left out, it is still met."""
    if policy.quorum == NONE:
        return None
    return max(
        at for at in times.values() if policy.is_met([key for key, each in times.items() if each >= at])
    )
