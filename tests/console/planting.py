"""Every kind of tampering that somebody who asks a server can see, planted in a copy of a log: on the disk, or in what its server answers.

`tests/console/test_tampering.py` plants them in a small log, `benchmarks/prove.py` each alone in one of 100,000 entries.
"""

import base64
import json
import re
import shutil
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import pyarrow as pa
import pyarrow.parquet as pq

from ledger.core.checkpoint import Checkpoint, sign_checkpoint
from ledger.core.ed25519 import SigningKey
from ledger.core.merkle import leaf_hash
from ledger.core.note import Cosigner, parse_note
from ledger.core.text import format_base64
from ledger.core.tiles import TILE_WIDTH, encode_bundle, parse_bundle, tile_path
from ledger.storage.contents import format_contents, parse_contents
from ledger.storage.layout import PERSONS, SEGMENTS
from tests.console.proving import execute
from tests.storage.sealing import ORIGIN, SIGNER, MemoryLog

HASH = 32
WITNESS = Cosigner("witness.example/w", SigningKey(b"witness".ljust(32)), 1_800_000_000)


@dataclass
class Site:
    """Where something is planted: a copy of a log in a folder, and what its server is made to answer.

    Attributes:
        log: the log as it was.
        data: its folder.
        cuts: where its segments end.
        lies: path → what is answered in the place of the truth: bytes, a status, a problem, or what makes the one of the other.
        truth: what the server answers at a path.
    """

    log: MemoryLog
    data: Path
    cuts: tuple[int, ...]
    lies: dict[str, object] = field(default_factory=dict)
    truth: Callable[[str], bytes] = bytes

    @property
    def size(self) -> int:
        return len(self.log.rows)

    def sealed(self, at: int = 0) -> int:
        """An action in the second segment, each `at` in a bundle of its own."""
        return (self.cuts[0] // TILE_WIDTH + 1 + at) * TILE_WIDTH + 84

    def hot(self, at: int = 0) -> int:
        """An action that is not sealed yet."""
        return self.cuts[-1] + 11 + at

    def lie(self, page) -> None:
        """Have this page answered as a changed server would."""
        for path in self.lies:
            page.route(re.compile(f"{re.escape(path)}([?].*)?$"), self.answered)

    def answered(self, route) -> None:
        """What a changed server would answer, for `page.route`."""
        url = urlsplit(route.request.url)
        lie = self.lies.get(url.path)
        if lie is None:
            route.continue_()
        elif isinstance(lie, int):
            said = {"type": "urn:agent-ledger:problem:made-up", "title": "Made up", "detail": "made up"}
            route.fulfill(status=lie, json=said)
        elif isinstance(lie, dict):
            route.fulfill(status=GONE, json=lie)
        elif callable(lie):
            route.fulfill(body=lie(self.truth(f"{url.path}?{url.query}")))
        else:
            route.fulfill(body=lie)


NOT_FOUND, GONE = 404, 410


# ---- on the disk, with the server stopped


def segment_of(site: Site, seq: int) -> tuple[Path, int]:
    """The folder of the segment that holds an entry, and its first entry."""
    start = max(each for each in (0, *site.cuts) if each <= seq)
    return site.data / SEGMENTS / f"{start:016}", start


def set_in(path: Path, column: str, seq: int, value: Callable[[str], str]) -> None:
    """One value of a Parquet file, written as whoever has its tools would, and as long as it was: a server looks at that when it starts."""
    size = path.stat().st_size
    file = pq.ParquetFile(path)
    rows = file.metadata.row_group(0).num_rows
    table = file.read()
    file.close()
    at, place = table.column("seq").to_pylist().index(seq), table.schema.get_field_index(column)
    values = table.column(column).to_pylist()
    values[at] = value(values[at])
    changed = pa.array(values, table.schema.field(place).type)
    table = table.set_column(place, table.schema.field(place), changed)
    pq.write_table(
        table,
        path,
        row_group_size=rows,
        compression="zstd",
        compression_level=19,
        data_page_size=2**24,
        use_dictionary=False,
        write_statistics=["seq"],
        write_page_checksum=True,
    )
    raw = path.read_bytes()
    footer = len(raw) - 8 - int.from_bytes(raw[-8:-4], "little")
    path.write_bytes(raw[:footer] + bytes(size - len(raw)) + raw[footer:])
    assert path.stat().st_size == size


def other(text: str) -> str:
    return text.replace("send_money", "send_m0ney")


def alter_sealed(site: Site, seq: int) -> None:
    set_in(segment_of(site, seq)[0] / "entries.parquet", "entry", seq, other)


def alter_hot(site: Site, seq: int) -> None:
    execute(
        site.data, f"UPDATE entries SET entry = replace(entry, 'send_money', 'send_m0ney') WHERE seq = {seq}"
    )


def swap_hot(site: Site, seq: int) -> None:
    one, two = (site.log.rows[each].entry.decode() for each in (seq, seq + 1))
    for at, text in ((seq, two), (seq + 1, one)):
        execute(site.data, f"UPDATE entries SET entry = {quoted(text)} WHERE seq = {at}")


def flip_hash(site: Site, seq: int) -> None:
    folder, start = segment_of(site, seq)
    flip(folder / "hashes", HASH * (seq - start))


def flip(path: Path, at: int) -> None:
    raw = bytearray(path.read_bytes())
    raw[at] ^= 1
    path.write_bytes(raw)


def damage(site: Site, seq: int) -> None:
    """Bytes of the row group in which an entry stands."""
    path = segment_of(site, seq)[0] / "entries.parquet"
    file = pq.ParquetFile(path)
    group = file.metadata.row_group(0)
    place = next(
        group.column(at) for at in range(group.num_columns) if group.column(at).path_in_schema == "entry"
    )
    at = place.data_page_offset + place.total_compressed_size // 2
    file.close()
    flip(path, at)


def quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


# ---- contents and persons, on the disk


def set_contents(site: Site, seq: int, change: Callable[[list], list]) -> None:
    def changed(text: str) -> str:
        return format_contents(change(parse_contents(text))).decode()

    if seq < site.cuts[-1]:
        set_in(segment_of(site, seq)[0] / "contents.parquet", "contents", seq, changed)
    else:
        text = changed(format_contents(site.log.rows[seq].contents).decode())
        execute(site.data, f"UPDATE entries SET contents = {quoted(text)} WHERE seq = {seq}")


def alter_content(site: Site, seq: int) -> None:
    set_contents(site, seq, lambda all_: [all_[0]._replace(value=b'"something else"'), *all_[1:]])


def delete_content(site: Site, seq: int) -> None:
    set_contents(site, seq, lambda all_: all_[1:])


def add_content(site: Site, seq: int) -> None:
    set_contents(site, seq, lambda all_: [*all_, all_[0]._replace(value=b'"one more"')])


def swap_contents(site: Site, seq: int) -> None:
    for one, two in ((seq, seq + 1), (seq + 1, seq)):
        set_contents(site, one, lambda _, two=two: list(site.log.rows[two].contents))


def move_content(site: Site, seq: int) -> None:
    """From one record to the next, which has one of its name already."""
    first = site.log.rows[seq].contents[0]
    set_contents(site, seq, lambda all_: all_[1:])
    set_contents(site, seq + 1, lambda all_: [*all_, first])


def of_person(sql: str) -> Callable[[Site, int], None]:
    def change(site: Site, seq: int) -> None:
        connection = sqlite3.connect(site.data / PERSONS)
        connection.execute(sql, {"commitment": person_of(site, seq)})
        connection.commit()
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.close()

    return change


def person_of(site: Site, seq: int) -> bytes:
    return bytes.fromhex(json.loads(site.log.rows[seq].entry)["record"]["request"]["user"])


# ---- in what a server answers


def bundle_of(seq: int) -> str:
    return f"/{tile_path('entries', seq // TILE_WIDTH)}"


def hashes_of(seq: int) -> str:
    return f"/{tile_path(0, seq // TILE_WIDTH)}"


def in_bundle(site: Site, seq: int, change: Callable[[list[bytes], int], list[bytes]]) -> None:
    site.lies[bundle_of(seq)] = lambda body: encode_bundle(change(parse_bundle(body), seq % TILE_WIDTH))


def delete(site: Site, seq: int) -> None:
    site.lies |= {bundle_of(seq): NOT_FOUND, f"/v1/entries/{seq}": NOT_FOUND}


def delete_several(site: Site, seq: int) -> None:
    for each in range(seq, seq + 3):
        delete(site, each)


def insert(site: Site, seq: int) -> None:
    """One that fits, and those after it moved down, in one bundle."""
    row = site.log.rows[seq]
    forged = row.entry.replace(b"send_money", b"send_m0ney")
    in_bundle(site, seq, lambda entries, at: [*entries[:at], forged, *entries[at:-1]])


def move_up(site: Site, seq: int) -> None:
    """One deleted, and those after it moved up, in one bundle."""
    last = site.log.rows[seq - seq % TILE_WIDTH + TILE_WIDTH].entry
    in_bundle(site, seq, lambda entries, at: [*entries[:at], *entries[at + 1 :], last])


def alter_both(site: Site, seq: int) -> None:
    """An entry and the hash that is kept of it."""
    forged = site.log.rows[seq].entry.replace(b"send_money", b"send_m0ney")
    in_bundle(site, seq, lambda entries, at: [*entries[:at], forged, *entries[at + 1 :]])
    at = HASH * (seq % TILE_WIDTH)
    site.lies[hashes_of(seq)] = lambda body: body[:at] + leaf_hash(forged) + body[at + HASH :]


def alter_above(site: Site, seq: int) -> None:
    """A hash of the level above: the tree has it of 256 entries."""
    index = seq // TILE_WIDTH
    whole = site.size // TILE_WIDTH
    at = HASH * (index % TILE_WIDTH)
    width = min(TILE_WIDTH, whole - index // TILE_WIDTH * TILE_WIDTH)
    path = f"/{tile_path(1, index // TILE_WIDTH, width)}"
    site.lies[path] = lambda body: body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :]


def shorter_tile(site: Site, seq: int) -> None:
    site.lies[hashes_of(seq)] = lambda body: body[:-HASH]


def call_retired(site: Site, seq: int) -> None:
    """A policy took it, says the server; the entry that it names for that says nothing of the kind."""
    gone = {
        "type": "urn:agent-ledger:problem:retired",
        "title": "Retired",
        "detail": "retired",
        "retired_by": seq + 50,
    }
    site.lies |= {bundle_of(seq): gone, f"/v1/entries/{seq}": gone}


def alter_root(site: Site, _: int) -> None:
    site.lies["/checkpoint"] = other_root


def other_root(note: bytes) -> bytes:
    return note.replace(note.split(b"\n")[2], format_base64(bytes(HASH)).encode())


def alter_signature(site: Site, _: int) -> None:
    """Another signature of the same length under the same name."""

    def changed(note: bytes) -> bytes:
        text, _, line = note.decode().rpartition(" ")
        raw = bytearray(base64.b64decode(line))
        raw[40] ^= 1
        return f"{text} {format_base64(bytes(raw))}\n".encode()

    site.lies["/checkpoint"] = changed


def alter_path(site: Site, seq: int) -> None:
    """A hash on the way of a receipt."""

    def changed(body: bytes) -> bytes:
        lines = body.decode().split("\n")
        lines[3] = format_base64(bytes(HASH))
        return "\n".join(lines).encode()

    site.lies[f"/v1/entries/{seq}/receipt"] = changed


def another_receipt(site: Site, seq: int) -> None:
    site.lies[f"/v1/entries/{seq}/receipt"] = lambda body: body.replace(
        b"index %d\n" % seq, b"index %d\n" % (seq + 1)
    )


def call_absent(how: str) -> Callable[[Site, int], None]:
    """Contents that the server keeps back, and calls erased or never given."""

    def plant(site: Site, seq: int) -> None:
        def changed(body: bytes) -> bytes:
            shown = json.loads(body)
            taken = shown["contents"].pop(0)["member"]
            return json.dumps({**shown, how: [taken], "told_in": {taken: seq + 50}}).encode()

        site.lies[f"/v1/entries/{seq}"] = changed

    return plant


def witnessed(
    line: Callable[[str], str], note: Callable[[bytes], bytes] = bytes
) -> Callable[[Site, int], None]:
    """A witness whom the server names, and his line in the checkpoint."""

    def plant(site: Site, _: int) -> None:
        named = {
            "name": WITNESS.key.name,
            "key": str(WITNESS.key),
            "size": 1,
            "cosigned_at": 1,
            "problem": None,
        }
        signed = note(site.log.notes[site.size - 1])
        site.lies |= {
            "/v1/witnesses": json.dumps({"quorum": "any", "witnesses": [named]}).encode(),
            "/witnessed/checkpoint": signed + line(parse_note(signed).text).encode(),
        }

    return plant


def another_line(text: str) -> str:
    """Of the same witness, for another log."""
    return WITNESS.line(text.replace(ORIGIN, "ledger.example/other"))


def another_root(note: bytes) -> bytes:
    """Signed by the log itself for a history that it showed nobody else."""
    size = int(note.split(b"\n")[1])
    return sign_checkpoint(Checkpoint(ORIGIN, size, bytes(HASH)), SIGNER)


def copied(data: Path, to: Path) -> Path:
    """The folder and its head anchor."""
    shutil.copytree(data.parent, to)
    return to / data.name
