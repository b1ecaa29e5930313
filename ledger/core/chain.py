"""The chain of leaf hashes through a stretch of entries, and what to believe where it does not hold.

Three things say what an entry's leaf hash is: its bytes, the hash stored beside it, and the `prev` of the entry after it. Where one
of them differs the other two tell that it was altered, and the tree over the rest can still be checked.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from itertools import takewhile
from typing import NamedTuple

from ledger.core import merkle
from ledger.core.report import Findings, Kind

LOOK_AHEAD = 2

_HEX = re.compile(rb"[0-9a-f]{64}")
_CHAIN = b'{"prev":"'
_CHAIN_END = len(_CHAIN) + 64


class Stored(NamedTuple):
    """What is stored of a stretch.

    Attributes:
        start: the seq of its first entry.
        entries: their bytes; None where one is missing.
        hashes: their leaf hashes as stored, None where nothing is; or None where no hashes are stored. An entry without bytes whose
            hash is stored is *gone*: the chain and the tree go on over it, and the log has to say that it was retired.
        notes: the signed checkpoints stored on its rows, by seq.
        following: the bytes of the next entries, up to LOOK_AHEAD: they tell which of two is the altered one.
    """

    start: int
    entries: Sequence[bytes | None]
    hashes: Sequence[bytes | None] | None = None
    notes: Mapping[int, bytes] = {}
    following: Sequence[bytes] = ()


def looking_ahead(stretches: Iterable[Stored]) -> Iterator[Stored]:
    """The stretches in order, each with the entries that follow it."""
    before: Stored | None = None
    for stretch in stretches:
        if before is not None:
            yield before._replace(following=_first(stretch) if _end(before) == stretch.start else ())
        before = stretch
    if before is not None:
        yield before


def _end(stored: Stored) -> int:
    return stored.start + len(stored.entries)


def gone(stored: Stored) -> list[tuple[int, int]]:
    """The ranges [from, to) of entries whose bytes are not stored while their hashes are."""
    ranges: list[tuple[int, int]] = []
    if stored.hashes is None or None not in stored.entries:
        return ranges
    for seq, (entry, digest) in enumerate(zip(stored.entries, stored.hashes, strict=True), stored.start):
        if entry is None and digest is not None:
            start = ranges.pop()[0] if ranges and ranges[-1][1] == seq else seq
            ranges.append((start, seq + 1))
    return ranges


def _first(stored: Stored) -> list[bytes]:
    return list(takewhile(lambda entry: entry is not None, stored.entries[:LOOK_AHEAD]))  # type: ignore[arg-type]


def leaf_hashes(stored: Stored, findings: Findings) -> Sequence[bytes | None]:
    """The leaf hashes of the stretch, as far as they are known, and what is wrong with them."""
    if None not in stored.entries:
        hashes = merkle.leaf_hashes(stored.entries)  # type: ignore[arg-type]
        if (stored.hashes is None or stored.hashes == hashes) and _is_chained(stored, hashes):
            return hashes
    elif stored.hashes is not None and None not in stored.hashes and not any(stored.entries):
        claim = _unhex(claimed_prev(stored.following[0])) if stored.following else None
        if claim is None or claim == stored.hashes[-1]:
            return stored.hashes  # all of them are gone
    return _repair(stored, findings)


def _is_chained(stored: Stored, hashes: Sequence[bytes]) -> bool:
    following = [*stored.entries[1:], *stored.following[:1]]
    linked = hashes if stored.following else hashes[:-1]
    claimed = [entry[:_CHAIN_END] for entry in following]  # type: ignore[index]
    computed = ["", *[digest.hex() for digest in linked]]
    return b"".join(claimed) == _CHAIN.decode().join(computed).encode()


def claimed_prev(entry: bytes | None) -> bytes | None:
    """The hex of the hash before it, as an entry states it."""
    if entry is None or not entry.startswith(_CHAIN):
        return None
    return entry[len(_CHAIN) : _CHAIN_END]


class _Link(NamedTuple):
    """An entry and what the next one says of it.

    Attributes:
        computed: the hash of its bytes; None when it is missing.
        stored: its leaf hash as stored.
        claim: the hash that the next entry gives for it; None when there is none that could say.
        vouched: the next entry is itself what the one after it says: its claim is to be believed.
        next_reported: the next entry's bytes do not fit its own stored hash: a claim that is wrong is explained.
    """

    computed: bytes | None
    stored: bytes | None
    claim: bytes | None
    vouched: bool
    next_reported: bool


def _repair(stored: Stored, findings: Findings) -> list[bytes | None]:
    """Something does not fit: find out what, entry by entry, and which hash the rest of the log was built upon."""
    entries: list[bytes | None] = [*stored.entries, *stored.following]
    computed = [None if entry is None else sha256(b"\x00" + entry).digest() for entry in entries]
    held = [*(computed if stored.hashes is None else stored.hashes), *computed][: len(stored.entries)]
    held += computed[len(held) :]
    claims = [_unhex(claimed_prev(entry)) for entry in entries[1:]] + [None]
    hashes: list[bytes | None] = []
    for i in range(len(stored.entries)):
        after = min(i + 1, len(entries) - 1)
        reported = computed[after] != held[after]
        if claims[i] is None and i + 1 < len(entries) and entries[i + 1] is not None and not reported:
            seq = stored.start + i + 1
            findings.add(Kind.ALTERED, f"entry {seq}", "it does not begin with the hash before it", seq)
        vouched = computed[after] is not None and (
            computed[after] == claims[after] or (after == len(entries) - 1 and not reported)
        )
        hashes.append(
            _judge(stored.start + i, _Link(computed[i], held[i], claims[i], vouched, reported), findings)
        )
    _name_gaps(stored, findings)
    return hashes


def _judge(seq: int, link: _Link, findings: Findings) -> bytes | None:
    claim = link.claim
    if link.computed is None:
        return _judge_gone(seq, link, findings)
    if link.computed != link.stored:
        return _judge_unstored(seq, link, findings)
    if claim is not None and claim != link.computed:
        if link.vouched:
            detail = f"entry {seq + 1} was chained to other bytes, of the hash {claim.hex()}"
            findings.add(Kind.ALTERED, f"entry {seq}", detail, seq)
            return claim
        if not link.next_reported:
            detail = "its `prev` is not the leaf hash of the entry before"
            findings.add(Kind.ALTERED, f"entry {seq + 1}", detail, seq + 1)
    return link.computed


def _judge_gone(seq: int, link: _Link, findings: Findings) -> bytes | None:
    """Without its bytes there is its stored hash, and what the next entry remembers of it."""
    claim, stored = link.claim, link.stored
    if claim is None or stored is None or claim == stored:
        return claim or stored
    detail = f"the bytes of the entry are gone, and the next one was chained to the hash {claim.hex()}"
    findings.add(Kind.ALTERED, f"the stored leaf hash of entry {seq}", detail, seq)
    return claim if link.vouched else stored


def _judge_unstored(seq: int, link: _Link, findings: Findings) -> bytes | None:
    """The entry's bytes and its stored hash do not fit: the next entry tells which of them is true."""
    claim = link.claim
    if claim is not None and claim == link.stored:
        detail = "its bytes do not hash to its leaf hash, which the next entry confirms"
        findings.add(Kind.ALTERED, f"entry {seq}", detail, seq)
        return claim
    if claim is not None and claim == link.computed:
        detail = "it is not the hash of the entry's bytes, which the next entry confirms"
        findings.add(Kind.ALTERED, f"the stored leaf hash of entry {seq}", detail, seq)
        return claim
    detail = (
        "its bytes do not hash to its stored leaf hash, and no entry after it tells which of them was altered"
    )
    findings.add(Kind.ALTERED, f"entry {seq}", detail, seq)
    return link.computed


def _unhex(text: bytes | None) -> bytes | None:
    return bytes.fromhex(text.decode()) if text is not None and _HEX.fullmatch(text) else None


def _name_gaps(stored: Stored, findings: Findings) -> None:
    run = 0
    hashes = stored.hashes or [None] * len(stored.entries)
    for i, entry in enumerate([*map(_either, stored.entries, hashes), b""]):
        if entry is None:
            run += 1
        elif run:
            name_gap(stored.start + i - run, run, findings)
            run = 0


def _either(entry: bytes | None, digest: bytes | None) -> bytes | None:
    return digest if entry is None else entry


def name_gap(seq: int, count: int, findings: Findings) -> None:
    """Report `count` missing entries from `seq` on."""
    where = f"entry {seq}" if count == 1 else f"entries {seq} to {seq + count - 1}"
    findings.add(Kind.MISSING, where, "nothing is stored there, and the log goes on", seq)
