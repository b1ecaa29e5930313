"""What is done to the files of a sealed log, file by file, and what a verification says of it (docs/tampering.md)."""

import re
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ledger.core.ed25519 import SigningKey
from ledger.core.note import NoteSigner
from ledger.storage.manifest import open_manifest, sign_manifest
from tests.audit.sealed_log import ORIGIN, SIGNER, SealedLog

PAGE = Path(__file__).parent.parent.parent / "docs" / "tampering.md"
FIRST, SECOND, THIRD = "0000000000000000", "0000000000000901", "0000000000003001"
AT = 1500  # an action in the second segment
NOTED = 1550 - 1  # an entry with a checkpoint


@pytest.fixture(scope="module")
def evidence(tmp_path_factory) -> SealedLog:
    return SealedLog(tmp_path_factory.mktemp("sealed"))


@pytest.fixture
def data(evidence: SealedLog, tmp_path: Path) -> Path:
    return evidence.copy(tmp_path)


# ---- hands that tamper


def segment(data: Path, name: str = SECOND) -> Path:
    return data / "segments" / name


def rewrite(path: Path, change: Callable[[pa.Table], pa.Table]) -> None:
    """The Parquet file with other rows: good Parquet, as whoever has its tools would write it."""
    file = pq.ParquetFile(path)
    rows = file.metadata.row_group(0).num_rows
    table = change(file.read())
    file.close()
    pq.write_table(table, path, row_group_size=rows, compression="zstd", write_page_checksum=True)


def setting(column: str, value: Callable[[object], object], seq: int = AT) -> Callable[[pa.Table], pa.Table]:
    def change(table: pa.Table) -> pa.Table:
        at, place = table.column("seq").to_pylist().index(seq), table.schema.get_field_index(column)
        values = table.column(column).to_pylist()
        values[at] = value(values[at])
        return table.set_column(
            place, table.schema.field(place), pa.array(values, table.schema.field(place).type)
        )

    return change


def without(seq: int) -> Callable[[pa.Table], pa.Table]:
    return lambda table: table.filter(pa.array([each != seq for each in table.column("seq").to_pylist()]))


def twice(seq: int) -> Callable[[pa.Table], pa.Table]:
    def change(table: pa.Table) -> pa.Table:
        at = table.column("seq").to_pylist().index(seq)
        return pa.concat_tables([table.slice(0, at + 1), table.slice(at)])

    return change


def swapped(seq: int) -> Callable[[pa.Table], pa.Table]:
    def change(table: pa.Table) -> pa.Table:
        at = table.column("seq").to_pylist().index(seq)
        order = [*range(at), at + 1, at, *range(at + 2, table.num_rows)]
        return table.take(order)

    return change


def parquet(name: str, change: Callable[[pa.Table], pa.Table]) -> Callable[[Path], None]:
    return lambda data: rewrite(segment(data) / name, change)


def flip(name: str, at: float, folder: str = SECOND) -> Callable[[Path], None]:
    def change(data: Path) -> None:
        path = segment(data, folder) / name
        raw = bytearray(path.read_bytes())
        raw[int(at * (len(raw) - 1))] ^= 1
        path.write_bytes(bytes(raw))

    return change


def lines(change: Callable[[list[bytes]], list[bytes]]) -> Callable[[Path], None]:
    def apply(data: Path) -> None:
        path = segment(data) / "own.jsonl"
        path.write_bytes(b"".join(line + b"\n" for line in change(path.read_bytes().split(b"\n")[:-1])))

    return apply


def persons(sql: str) -> Callable[[Path], None]:
    def change(data: Path) -> None:
        connection = sqlite3.connect(data / "persons.sqlite")
        connection.execute(sql)
        connection.commit()
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.close()

    return change


def signed_by_another(data: Path) -> None:
    path = segment(data) / "manifest-1"
    manifest = open_manifest(path.read_bytes(), None, ORIGIN)
    path.write_bytes(sign_manifest(manifest, NoteSigner(ORIGIN, SigningKey(bytes(32)))))


def run(data: Path) -> Path:
    return min((data / "ids").glob("*.ids"))


def flip_run(data: Path) -> None:
    raw = bytearray(run(data).read_bytes())
    raw[100] ^= 1
    run(data).write_bytes(bytes(raw))


def exchange(data: Path) -> None:
    one, other = segment(data, FIRST) / "own.jsonl", segment(data) / "own.jsonl"
    texts = one.read_bytes(), other.read_bytes()
    one.write_bytes(texts[1])
    other.write_bytes(texts[0])


def remove_manifest(data: Path) -> None:
    (segment(data) / "manifest-1").unlink()


def remove_segment(data: Path) -> None:
    shutil.rmtree(segment(data))


def duplicate_segment(data: Path) -> None:
    shutil.copytree(segment(data), segment(data, "0000000000000902"))


def rename_segment(data: Path) -> None:
    segment(data).rename(segment(data, "0000000000000902"))


def stray(where: str) -> Callable[[Path], None]:
    return lambda data: (data / where).write_bytes(b"x")


def damaged(value: object) -> str:
    return str(value).replace("send_money", "send_m0ney")


# name → what is done, the kind, where, the first entry in doubt (None: none is)
ROWS: dict[str, tuple[Callable[[Path], object], str, str, int | None]] = {
    "an entry": (parquet("entries.parquet", setting("entry", damaged)), "altered", f"entry {AT}", AT),
    "an entry of the last row": (
        parquet("entries.parquet", setting("entry", damaged, 2999)),
        "altered",
        "entry 2999",
        2999,
    ),
    "a leaf hash": (
        parquet("entries.parquet", setting("hash", lambda _: bytes(32))),
        "altered",
        f"leaf hash of entry {AT}",
        AT,
    ),
    "an id": (parquet("entries.parquet", setting("id", lambda _: "x")), "altered", f"id of entry {AT}", AT),
    "an id set to NULL": (
        parquet("entries.parquet", setting("id", lambda _: None)),
        "altered",
        f"id of entry {AT}",
        AT,
    ),
    "an entry set to NULL": (
        parquet("entries.parquet", setting("entry", lambda _: None)),
        "missing",
        f"entry {AT}",
        AT,
    ),
    "a checkpoint": (
        parquet(
            "entries.parquet", setting("checkpoint", lambda note: str(note).replace("\u2014", "-"), NOTED)
        ),
        "altered",
        f"checkpoint on entry {NOTED}",
        NOTED,
    ),
    "a seq": (
        parquet("entries.parquet", setting("seq", lambda _: 10**6)),
        "altered",
        f"seq of entry {AT}",
        AT,
    ),
    "a row removed": (parquet("entries.parquet", without(AT)), "missing", f"entry {AT}", AT),
    "a row put in twice": (parquet("entries.parquet", twice(AT)), "altered", f"entries.seq {AT}", AT),
    "a column added": (
        parquet("entries.parquet", lambda t: t.append_column("verdict", t.column("id"))),
        "altered",
        "entries.parquet, column verdict",
        None,
    ),
    "a column removed": (
        parquet("entries.parquet", lambda t: t.drop_columns(["id"])),
        "unverifiable",
        "entries 0 to 2047",
        0,
    ),
    "a byte of entries.parquet": (flip("entries.parquet", 0.4), "altered", "entries.parquet", ...),
    "a fact": (
        parquet("facts.parquet", setting("tool_name", lambda _: "read_mail")),
        "altered",
        f"facts.parquet, tool_name of entry {AT}",
        AT,
    ),
    "a fact set to NULL": (
        parquet("facts.parquet", setting("policy_effect", lambda _: "allow")),
        "altered",
        f"facts.parquet, policy_effect of entry {AT}",
        AT,
    ),
    "a row of facts removed": (parquet("facts.parquet", without(AT)), "altered", "facts.parquet", AT),
    "a content": (
        parquet("contents.parquet", setting("contents", lambda text: str(text).replace("words", "w0rds"))),
        "altered",
        f"contents of entry {AT}",
        AT,
    ),
    "a content removed": (parquet("contents.parquet", without(AT)), "missing", f"contents of entry {AT}", AT),
    "a content put in twice": (
        parquet("contents.parquet", twice(AT)),
        "altered",
        f"contents of entry {AT}",
        AT,
    ),
    "contents moved to another entry": (
        parquet("contents.parquet", setting("seq", lambda _: AT - 1)),
        "missing",
        f"contents of entry {AT}",
        AT - 1,
    ),
    "a byte of contents.parquet": (flip("contents.parquet", 0.4), "altered", "contents.parquet", ...),
    "a stored hash": (flip("hashes", 0.5), "altered", "hashes, entry", 1950),
    "an id's key": (flip("keys", 0.5), "altered", "keys, entry", 1950),
    "a tile": (flip("tiles", 0.0), "altered", "tiles, tile 3", 768),
    "an own entry kept apart": (
        lines(lambda every: [every[0].replace(b"log.n", b"log.m"), *every[1:]]),
        "altered",
        "own.jsonl, entry 901",
        901,
    ),
    "an own entry kept apart, removed": (
        lines(lambda every: every[1:]),
        "altered",
        "own.jsonl, entry 901",
        901,
    ),
    "a line that is no entry": (lines(lambda every: [*every, b"{}"]), "altered", "own.jsonl, line", None),
    "own entries of two segments exchanged": (exchange, "altered", "own.jsonl, entry 0", 0),
    "a byte of a manifest": (flip("manifest-1", 0.9), "altered", "manifest-1", 901),
    "a manifest signed by another key": (signed_by_another, "altered", "manifest-1", 901),
    "a manifest removed": (remove_manifest, "missing", "manifest-1", 901),
    "a segment removed": (remove_segment, "missing", "entries 901 to 2047", 901),
    "a segment put in twice": (duplicate_segment, "altered", "segments/0000000000000902", 901),
    "a segment renamed": (rename_segment, "altered", "segments/0000000000000902", 901),
    "a file of a segment removed": (lambda data: (segment(data) / "keys").unlink(), "missing", "keys", 901),
    "a file put into a segment": (stray(f"segments/{SECOND}/more.parquet"), "altered", "more.parquet", None),
    "a file put among segments": (stray("segments/notes"), "altered", "segments/notes", None),
    "a file put among hot files": (stray("hot/notes"), "altered", "hot/notes", None),
    "a person's name": (
        persons("UPDATE persons SET value = '\"mallory\"' WHERE seq = (SELECT max(seq) FROM persons)"),
        "altered",
        "persons of entry",
        8,
    ),
    "a person's salt": (
        persons("UPDATE persons SET salt = zeroblob(16) WHERE seq = (SELECT max(seq) FROM persons)"),
        "altered",
        "persons of entry",
        8,
    ),
    "a person's source": (
        persons("UPDATE persons SET source = 'x' WHERE seq = (SELECT max(seq) FROM persons)"),
        "altered",
        "persons.source of entry",
        8,
    ),
    "a person removed": (
        persons("DELETE FROM persons WHERE seq = (SELECT max(seq) FROM persons)"),
        "missing",
        "persons, for request.user",
        8,
    ),
    "a person added": (
        persons("INSERT INTO persons VALUES (1500, zeroblob(32), zeroblob(16), '\"m\"', 'log')"),
        "altered",
        f"persons of entry {AT}",
        AT,
    ),
    "a person of an entry that is not there": (
        persons("INSERT INTO persons VALUES (90000, zeroblob(32), zeroblob(16), '\"m\"', 'log')"),
        "altered",
        "persons.sqlite, seq 90000",
        None,
    ),
    "a table among the persons": (
        persons("CREATE TABLE notes (x)"),
        "altered",
        "persons.sqlite, notes",
        None,
    ),
    "all persons removed": (
        lambda data: (data / "persons.sqlite").unlink(),
        "missing",
        "persons, for request.user",
        2,
    ),
    "the hot file removed": (
        lambda data: next((data / "hot").iterdir()).unlink(),
        "rolled-back",
        "head anchor",
        5051,
    ),
    "a run of ids": (flip_run, "altered", "ids/", None),
}


@pytest.mark.parametrize("name", ROWS)
def test_what_is_done_to_a_sealed_log_is_found(evidence: SealedLog, data: Path, name: str):
    tamper, kind, where, doubt = ROWS[name]
    tamper(data)
    report = evidence.verify(data, pins=[evidence.pin])
    found = [(str(finding.kind), finding.where) for finding in report.findings]
    assert any(kind == each and where in place for each, place in found), found
    if doubt is not ...:
        assert report.good_up_to == (evidence.size if doubt is None else doubt), found


def test_a_sealed_log_that_nobody_touched_has_no_findings(evidence: SealedLog, data: Path):
    before = {path: path.read_bytes() for path in sorted(data.rglob("*")) if path.is_file()}
    one = evidence.verify(data, pins=[evidence.pin])
    assert one.findings == ()
    assert one.verdict == f"verified and anchored up to {evidence.size}"
    assert one == evidence.verify(data, pins=[evidence.pin], processes=2)
    assert {path: path.read_bytes() for path in sorted(data.rglob("*")) if path.is_file()} == before


def test_the_first_wrong_place_is_named_even_when_many_are_wrong(evidence: SealedLog, data: Path):
    every = lambda table: table.set_column(  # noqa: E731
        3, "entry", pa.array([damaged(value) for value in table.column("entry").to_pylist()])
    )
    for name in (SECOND, THIRD):
        rewrite(segment(data, name) / "entries.parquet", every)
    for processes in (1, 2):
        report = evidence.verify(data, processes=processes)
        assert report.findings[0].where == "entry 902"
        assert report.good_up_to == 902
        assert report.unlisted > 1000
    assert SIGNER.key.name == report.origin


def test_every_row_stands_on_the_page():
    page = PAGE.read_text(encoding="utf-8")
    named = re.findall(r"^\| ([^|]+) \| [^|]+ \| `test_sealed_tampering\.py` \|$", page, re.MULTILINE)
    assert sorted(named) == sorted(ROWS)
