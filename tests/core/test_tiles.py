"""Tiles and entry bundles at their largest."""

from ledger.core.entry import MAX_ENTRY_BYTES
from ledger.core.tiles import TILE_WIDTH, encode_bundle, parse_bundle


def test_a_bundle_of_256_entries_of_full_length_reads_back():  # threat 30
    entries = [bytes([number]) * MAX_ENTRY_BYTES for number in range(TILE_WIDTH)]
    bundle = encode_bundle(entries)
    assert len(bundle) == TILE_WIDTH * (2 + MAX_ENTRY_BYTES)
    assert parse_bundle(bundle) == entries
