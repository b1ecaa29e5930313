"""Places in the log, a bit each: which entries lack what, until the log says why.

A verification must not keep an object for each entry that something is absent from: after years of retention that is most of
them. Places are kept by block of BLOCK entries and by key (a member, or a member and a person), one integer of BLOCK bits for each
pair that has any.
"""

import zlib
from collections.abc import Iterator

from ledger.core.errors import Code, FormatError
from ledger.core.text import format_base64, parse_base64

BLOCK = 2048
MAX_PACKED_BYTES = (
    16 * 1024 * 1024
)  # a state is somebody else's until its signature is believed, and then still theirs
_SEQ_BYTES, _BITS_BYTES = 8, BLOCK // 8


class Places:
    """A set of (seq, key)."""

    __slots__ = ("_blocks",)

    def __init__(self) -> None:
        self._blocks: dict[int, dict[str, int]] = {}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Places) and self._blocks == other._blocks

    __hash__ = None  # type: ignore[assignment]  # it changes

    def add(self, seq: int, key: str = "") -> None:
        """Put one in."""
        block = self._blocks.setdefault(seq // BLOCK, {})
        block[key] = block.get(key, 0) | 1 << seq % BLOCK

    def add_range(self, low: int, high: int, key: str = "") -> None:
        """Put in the entries [low, high) under one key."""
        for number, bits in _masks(low, high):
            block = self._blocks.setdefault(number, {})
            block[key] = block.get(key, 0) | bits

    def add_bits(self, start: int, bits: int, key: str = "") -> None:
        """Put in those whose bit, counted from `start`, a multiple of BLOCK, is set; no bit beyond the block."""
        if bits:
            block = self._blocks.setdefault(start // BLOCK, {})
            block[key] = block.get(key, 0) | bits

    def take(self, other: "Places") -> None:
        """Put in all of another."""
        for number, keys in other._blocks.items():  # noqa: SLF001 - its own kind
            block = self._blocks.setdefault(number, {})
            for key, bits in keys.items():
                block[key] = block.get(key, 0) | bits

    def __contains__(self, place: tuple[int, str]) -> bool:
        seq, key = place
        return bool(self._blocks.get(seq // BLOCK, {}).get(key, 0) >> seq % BLOCK & 1)

    def __bool__(self) -> bool:
        return bool(self._blocks)

    def keys_at(self, seq: int) -> list[str]:
        """The keys under which an entry is here."""
        return [key for key, bits in self._blocks.get(seq // BLOCK, {}).items() if bits >> seq % BLOCK & 1]

    def discard(self, seq: int, key: str = "") -> bool:
        """Take one out; whether it was in."""
        found = (seq, key) in self
        if found:
            self._remove(seq // BLOCK, key, 1 << seq % BLOCK)
        return found

    def count(self, low: int, high: int, key: str = "") -> int:
        """How many entries of [low, high) are here under a key."""
        return sum((self._blocks[n].get(key, 0) & bits).bit_count() for n, bits in self._near(low, high))

    def cut(self, low: int, high: int) -> int:
        """Take out all entries of [low, high), under whatever key; how many places that were."""
        removed = 0
        for number, bits in list(self._near(low, high)):
            for key, held in list(self._blocks[number].items()):
                removed += (held & bits).bit_count()
                self._remove(number, key, bits)
        return removed

    def runs(self) -> Iterator[tuple[int, int, str]]:
        """Ranges [low, high) of consecutive entries with their key, in order of `low` within a key."""
        for key in sorted({key for block in self._blocks.values() for key in block}):
            low = high = -1
            for number in sorted(self._blocks):
                for start, end in _ones(self._blocks[number].get(key, 0)):
                    if number * BLOCK + start != high:
                        if high > low:
                            yield low, high, key
                        low = number * BLOCK + start
                    high = number * BLOCK + end
            if high > low:
                yield low, high, key

    def _near(self, low: int, high: int) -> Iterator[tuple[int, int]]:
        """The blocks that [low, high) touches, and which of their bits."""
        first, last = low // BLOCK, (high - 1) // BLOCK
        if last - first < len(self._blocks):
            yield from (pair for pair in _masks(low, high) if pair[0] in self._blocks)
            return
        for number in self._blocks:  # a range may be claimed to be longer than any log
            if first <= number <= last:
                yield next(_masks(max(low, number * BLOCK), min(high, (number + 1) * BLOCK)))

    def _remove(self, number: int, key: str, bits: int) -> None:
        block = self._blocks[number]
        block[key] &= ~bits
        if not block[key]:
            del block[key]
            if not block:
                del self._blocks[number]

    # ---- as JSON

    def to_json(self) -> list[list[str]]:
        """For each key: the key, and its blocks (number and bits) compressed, in base64."""
        packed: dict[str, list[bytes]] = {}
        for number, block in sorted(self._blocks.items()):
            for key, bits in block.items():
                packed.setdefault(key, []).append(
                    number.to_bytes(_SEQ_BYTES, "big") + bits.to_bytes(_BITS_BYTES, "big")
                )
        return [[key, format_base64(zlib.compress(b"".join(parts), 9))] for key, parts in packed.items()]

    @classmethod
    def from_json(cls, value: object) -> "Places":
        """What `to_json` wrote.

        Raises:
            FormatError: it did not.
        """
        places = cls()
        try:
            for key, text in value:  # type: ignore[attr-defined]
                data = _unpacked(parse_base64(text))
                for at in range(0, len(data), _SEQ_BYTES + _BITS_BYTES):
                    bits = at + _SEQ_BYTES
                    start = int.from_bytes(data[at:bits], "big") * BLOCK
                    places.add_bits(start, int.from_bytes(data[bits : bits + _BITS_BYTES], "big"), str(key))
        except (TypeError, ValueError, AttributeError, zlib.error) as error:
            raise FormatError(Code.MALFORMED_NOTE, f"not a saved set of places: {error}") from None
        return places


def _unpacked(packed: bytes) -> bytes:
    unpacker = zlib.decompressobj()
    data = unpacker.decompress(packed, MAX_PACKED_BYTES)
    if not unpacker.eof or len(data) % (_SEQ_BYTES + _BITS_BYTES):
        raise ValueError("it does not end where it should")
    return data


def _masks(low: int, high: int) -> Iterator[tuple[int, int]]:
    """The blocks that [low, high) touches, and which of their bits."""
    while low < high:
        number, start = divmod(low, BLOCK)
        end = min(high - number * BLOCK, BLOCK)
        yield number, (1 << end) - (1 << start)
        low = (number + 1) * BLOCK


def _ones(bits: int) -> Iterator[tuple[int, int]]:
    """The runs of ones, lowest first, as [start, end)."""
    at = 0
    while bits:
        zeros = (bits & -bits).bit_length() - 1
        bits >>= zeros
        ones = (~bits & bits + 1).bit_length() - 1
        yield at + zeros, at + zeros + ones
        bits >>= ones
        at += zeros + ones
