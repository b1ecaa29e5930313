"""What a verification knows at the end of what it has read so far; as JSON it can be put away and gone on from."""

from dataclasses import dataclass, field
from typing import Any

from ledger.core.entry import GENESIS_PREV
from ledger.core.errors import Code, FormatError, LedgerError
from ledger.core.keyhistory import KeyHistory
from ledger.core.merkle import EMPTY_ROOT, HASH_BYTES
from ledger.core.note import VerifierKey, format_vkey, parse_vkey
from ledger.core.report import Finding, Findings, Kind
from ledger.core.retired import Retirement

VERSION = 1


@dataclass(slots=True)
class Joined:
    """The state of a `ledger.core.verify.Verifier` between two stretches.

    Attributes:
        log_keys: the keys that the next checkpoint must be signed with; two during a rotation.
        history: the log's keys so far.
        size: where what was joined ends.
        read: how many entries were read.
        agent_keys: the agent keys in force: key id → public key.
        given: every key id that was ever given.
        tree: the complete subtrees so far, (level, hash), largest first; None where a hash is unknown.
        last_hash: of the last entry; None where unknown.
        linked: whether the link from the last entry to the next was checked already.
        last_time: the newest `recorded_at`.
        noted: the newest row with a checkpoint, whatever that is worth.
        covered: the size of the newest checkpoint that holds.
        doubted: how many roots did not hold.
        retirement: which entries are gone, and which of them the log explains.
        roots: the roots at sizes that were asked for,
        leaves: and the leaf hashes.
        findings: what is wrong.
    """

    log_keys: list[VerifierKey]
    history: KeyHistory
    size: int = 0
    read: int = 0
    agent_keys: dict[str, bytes] = field(default_factory=dict)
    given: set[str] = field(default_factory=set)
    tree: list[tuple[int, bytes]] | None = field(default_factory=list)
    last_hash: bytes | None = GENESIS_PREV
    linked: bool = False
    last_time: str = ""
    noted: int = -1
    covered: int = 0
    doubted: int = 0
    retirement: Retirement = field(default_factory=Retirement)
    roots: dict[int, bytes] = field(default_factory=lambda: {0: EMPTY_ROOT})
    leaves: dict[int, bytes] = field(default_factory=dict)
    findings: Findings = field(default_factory=Findings)

    def to_json(self) -> dict[str, Any]:
        """All of it, of lists, text and integers."""
        findings = [
            [str(f.kind), f.where, f.detail, -1 if f.seq is None else f.seq] for f in self.findings.kept
        ]
        return {
            "version": VERSION,
            "log_keys": [format_vkey(key) for key in self.log_keys],
            "history": self.history.to_json(),
            "counts": [self.size, self.read, self.noted, self.covered, self.doubted, self.findings.count],
            "agent_keys": [[key, public.hex()] for key, public in sorted(self.agent_keys.items())],
            "given": sorted(self.given),
            "tree": None if self.tree is None else [[level, node.hex()] for level, node in self.tree],
            "last_hash": None if self.last_hash is None else self.last_hash.hex(),
            "linked": self.linked,
            "last_time": self.last_time,
            "retirement": self.retirement.to_json(),
            "roots": [[size, root.hex()] for size, root in sorted(self.roots.items())],
            "leaves": [[seq, leaf.hex()] for seq, leaf in sorted(self.leaves.items())],
            "findings": findings,
        }

    @classmethod
    def from_json(cls, value: Any) -> "Joined":
        """What `to_json` wrote. Whether to believe it is the caller's question.

        Raises:
            FormatError: it did not.
        """
        try:
            return cls._from_json(value)
        except FormatError:
            raise
        except (TypeError, ValueError, KeyError, AttributeError, LedgerError) as error:
            raise FormatError(
                Code.MALFORMED_NOTE, f"the saved state of a verification cannot be read: {error}"
            ) from None

    @classmethod
    def _from_json(cls, value: Any) -> "Joined":
        if value["version"] != VERSION:
            raise ValueError(f"it is of version {value['version']}, and this release reads {VERSION}")
        size, read, noted, covered, doubted, count = map(int, value["counts"])
        tree = value["tree"]
        made = cls(
            [parse_vkey(text) for text in value["log_keys"]],
            KeyHistory.from_json(value["history"] if "history" in value else _first(value["all_log_keys"])),
            size,
            read,
            {str(key): bytes.fromhex(public) for key, public in value["agent_keys"]},
            set(map(str, value["given"])),
            None if tree is None else [(int(level), _digest(node)) for level, node in tree],
            None if value["last_hash"] is None else _digest(value["last_hash"]),
            bool(value["linked"]),
            str(value["last_time"]),
            noted,
            covered,
            doubted,
            Retirement.from_json(value["retirement"]),
            {int(at): _digest(root) for at, root in value["roots"]},
            {int(seq): _digest(leaf) for seq, leaf in value["leaves"]},
        )
        if made.tree is not None and sum(1 << level for level, _ in made.tree) != size:
            raise ValueError(f"its subtrees are not those of {size} entries")
        made.findings.take(
            Finding(Kind(kind), str(where), str(detail), None if seq < 0 else int(seq))
            for kind, where, detail, seq in value["findings"]
        )
        made.findings.count = count
        return made


def _first(keys: list[str]) -> list[list[Any]]:
    """As earlier releases wrote it, which knew no rotation."""
    (first,) = keys
    return [[first, 0, -1]]


def _digest(text: str) -> bytes:
    digest = bytes.fromhex(text)
    if len(digest) != HASH_BYTES:
        raise ValueError(f"a hash is {HASH_BYTES} bytes, not {len(digest)}")
    return digest
