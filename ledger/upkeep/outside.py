"""What the outside world has seen of a log: signed checkpoints that were kept where the log's own machine could not lose them.

A log that is brought back from a backup and is shorter than what anyone has seen of it must not be continued: it would sign a second history.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from ledger.core.checkpoint import Checkpoint, parse_checkpoint
from ledger.core.errors import Code, LedgerError
from ledger.core.keyhistory import KeyHistory, parse_history
from ledger.core.note import parse_note
from ledger.core.verify import Pin
from ledger.storage.anchor import HeadAnchor
from ledger.storage.manifest import generation_of, open_manifest
from ledger.storage.segment import MAX_MANIFEST_BYTES
from ledger.upkeep.offload import named_by

if TYPE_CHECKING:  # it needs boto3, which only who has an object store installs
    from ledger.storage.objects import ObjectStore

_PROOF: Final = (
    "where the log took another key since this was made, the proof of its keys tells whose signature it is: give that with --keys "
    "(`agent-ledger keys proof`, or the keys.json of an export or an evidence file)"
)


class Seen(NamedTuple):
    """A checkpoint somebody has.

    Attributes:
        what: who, in words: `head anchor /var/lib/ledger.head`, `checkpoint witness.txt`.
        note: the signed note; cosignatures of witnesses may follow the log's own.
    """

    what: str
    note: bytes


class Known(NamedTuple):
    """A checkpoint somebody has, signed by the log."""

    what: str
    note: bytes
    checkpoint: Checkpoint


def read_anchor(path: Path) -> list[Seen]:
    """What a head anchor holds; nothing where there is none.

    Raises:
        LedgerError: `storage-failed`: it is there and holds no whole checkpoint.
        OSError: it cannot be read.
    """
    note = HeadAnchor(path).read()
    return [] if note is None else [Seen(f"head anchor {path}", note)]


def read_checkpoints(paths: Iterable[Path]) -> list[Seen]:
    """Checkpoints in files, one each.

    Raises:
        OSError: one cannot be read.
    """
    return [Seen(f"checkpoint {path}", path.read_bytes()) for path in paths]


def read_objects(store: "ObjectStore", origin: str) -> list[Seen]:
    """What the newest manifest in an object store says; nothing where there is none.

    Its checkpoint is signed, which `opened` checks, and outlives the machine: the log is continued from no backup that is older.

    Raises:
        LedgerError: `objects-unavailable`; or that manifest is none of this log.
    """
    manifests = {}
    for key in store.listed():
        start, name = named_by(key) or (0, "")
        if generation := generation_of(name):
            manifests[start, generation] = key
    if not manifests:
        return []
    key = manifests[max(manifests)]
    what = f"manifest s3://{store.settings.bucket}/{key}"
    try:
        note = open_manifest(store.read(key, MAX_MANIFEST_BYTES), None, origin).checkpoint
    except LedgerError as error:
        raise LedgerError(error.code, f"the {what} cannot be compared: {error.detail}") from None
    return [Seen(what, note)]


def keys_since(keys: KeyHistory, proofs: Iterable[bytes]) -> KeyHistory:
    """The log's keys, with those that came after what there is of it was made, as far as one of these proofs knows more.

    Args:
        keys: the log's, as far as what there is of it tells.
        proofs: `ledger.core.keyhistory`, of the same log at some time.

    Raises:
        LedgerError: one does not hold, or is not of this log.
    """
    for proof in proofs:
        told = parse_history(proof, keys.current)
        if len(told.terms) > len(keys.terms):
            keys = told
    return keys


def opened(seen: Iterable[Seen], keys: KeyHistory, size: int | None = None) -> list[Known]:
    """Those checkpoints, each with the log's own signature checked.

    Args:
        seen: what others have.
        keys: the log's, as far as they are known.
        size: of what there is of the log, where it is not to be continued: of a checkpoint beyond that nobody can tell whose key signed it,
            since the log may have had another one by then; then it is taken, and named as what it is.

    Raises:
        LedgerError: one of them is none, is of another log, or was not signed by one of the log's keys.
    """
    known = []
    for what, note in seen:
        try:
            known.append(Known(what, note, keys.open(note, own=True)))
        except LedgerError as error:
            unknown = error.code is Code.UNKNOWN_SIGNER
            stranger = _stranger(what, note, keys.origin) if unknown else None
            if size is not None and stranger is not None and stranger.checkpoint.size > size:
                known.append(stranger)
                continue
            hint = "" if stranger is None else f". It is of size {stranger.checkpoint.size}; {_PROOF}"
            raise LedgerError(error.code, f"the {what} cannot be compared: {error.detail}{hint}") from None
    return known


def _stranger(what: str, note: bytes, origin: str) -> Known | None:
    """A checkpoint of this log, as it says itself, that a key signed which nothing here names."""
    try:
        checkpoint = parse_checkpoint(parse_note(note).text)
    except LedgerError:
        return None
    return (
        Known(f"{what} (signed with a key that is not known here)", note, checkpoint)
        if checkpoint.origin == origin
        else None
    )


def further(known: Iterable[Known], size: int) -> list[Known]:
    """Those that know of more than `size` entries, the largest first."""
    return sorted(
        (each for each in known if each.checkpoint.size > size), key=lambda each: -each.checkpoint.size
    )


def pins(known: Iterable[Known], size: int) -> list[Pin]:
    """Those that a log of `size` entries can be compared with."""
    return [Pin(each.note, each.what) for each in known if each.checkpoint.size <= size]


def refuse_further(known: Iterable[Known], size: int, what: str) -> None:
    """Go on only where nobody has seen more than `size` entries.

    Raises:
        LedgerError: `rolled-back`: who saw how much more, and what to do.
    """
    more = further(known, size)
    if not more:
        return
    most = more[0]
    others = f" ({len(more) - 1} more saw more than that)" if len(more) > 1 else ""
    raise LedgerError(
        Code.ROLLED_BACK,
        f"{what} has {size} entries, and the outside world has seen {most.checkpoint.size}: the {most.what} is signed by this log"
        f"{others}. The last {most.checkpoint.size - size} are not in it, so it is not continued: that would be a second history under the same "
        "name. Find a newer backup or the old disk; or continue as another log that names this one as its predecessor: --new-origin NAME",
        size=size,
        seen=most.checkpoint.size,
    )
