"""(c) Verification of sealed segments, against a bare SHA-256 loop over the same entries in memory, in as many processes.

    python -m benchmarks.sealed [entries] [--folder DIR] [--processes N] [--stages]

A folder of segments of 200,000 entries is made (1,000,000 entries by default), or taken where it is there. Each row is timed in turn, several
rounds: the bare loop `sha256(b"\x00" + entry)` over a list in memory that each process has already; hashes, chain, roots and signatures
from the Parquet files, with the start of the processes; SHA-256 of the same files in big blocks on one core, and the whole-file pass.
With `--stages`: where the processor time of the second row goes, in one process, step by step.
"""

import argparse
import json
import multiprocessing
import os
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from hashlib import sha256
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.records import record
from benchmarks.running import ratio
from ledger.audit.fsck import verify_folder
from ledger.audit.swift import COLUMNS, Part, leaf_hashes, plain_rows, sound_stretch
from ledger.core.checkpoint import Checkpoint, open_checkpoint, sign_checkpoint
from ledger.core.ed25519 import SigningKey
from ledger.core.entry import GENESIS_PREV, format_entry, format_time
from ledger.core.merkle import Frontier, complete_subtrees, leaf_hash
from ledger.core.note import NoteSigner, format_vkey
from ledger.core.report import Level
from ledger.log.persons import Persons
from ledger.records.prepare import own_record, prepare
from ledger.storage.build import build_segment
from ledger.storage.layout import SEGMENTS, segment_path, write_version
from ledger.storage.manifest import Manifest, manifest_digest, sign_manifest
from ledger.storage.parquet import GROUP_ROWS
from ledger.storage.schema import ROW_SCHEMA

ORIGIN = "bench.example/log"
SIGNER = NoteSigner(ORIGIN, SigningKey(bytes(range(32))))
SEGMENT, GROUP, KINDS = 200_000, 500, 500
BLOCK = 1 << 20
_entries: list[bytes] = []
_together: Any = None


class _Maker:
    """Entries as the sequencer makes them, of few records under ever new ids: what is measured is reading them."""

    def __init__(self) -> None:
        persons = Persons(lambda _: None)
        self.frontier, self.prev, self.size = Frontier(), GENESIS_PREV, 0
        self.note = b""
        self._kinds = [
            prepare(
                json.dumps({**record(n, "b"), "id": "i" * 20}).encode(),
                submitter="token:bench",
                persons=persons,
                origin=ORIGIN,
                agent_key=lambda _: None,
            ).record
            for n in range(KINDS)
        ]
        genesis = {"log.origin": ORIGIN, "log.format": 1, "log.vkey": format_vkey(SIGNER.key)}
        self._own = own_record("log.created", genesis)

    def rows(self, end: int) -> Iterator[list]:
        while self.size < end:
            group, columns = min(GROUP, end - self.size), []
            recorded_at = format_time(1_800_000_000_000_000 + self.size)
            for seq in range(self.size, self.size + group):
                name = f"{seq:020d}"
                data = self._kinds[seq % KINDS].replace(b"i" * 20, name.encode()) if seq else self._own.record
                entry = format_entry(
                    prev=self.prev,
                    record=data,
                    recorded_at=recorded_at,
                    seq=seq,
                    submitter="token:bench" if seq else "log",
                )
                self.prev = leaf_hash(entry)
                self.frontier.append(self.prev)
                columns.append([seq, self.prev, name if seq else self._own.id, entry.decode(), "[]", None])
            self.size += group
            checkpoint = Checkpoint(ORIGIN, self.size, self.frontier.root())
            self.note = sign_checkpoint(checkpoint, SIGNER)
            columns[-1][-1] = self.note.decode()
            yield columns


def make(data: Path, entries: int) -> None:
    (data / SEGMENTS).mkdir(parents=True)
    maker, before = _Maker(), b""
    last: list[bytes] = []
    for start in range(0, entries, SEGMENT):
        end = min(start + SEGMENT, entries)
        groups = list(maker.rows(end))
        folder = segment_path(data, start)
        folder.mkdir()
        batches = (
            pa.RecordBatch.from_arrays(
                [
                    pa.array(column, field.type)
                    for column, field in zip(zip(*rows, strict=True), ROW_SCHEMA, strict=True)
                ],
                schema=ROW_SCHEMA,
            )
            for rows in groups
        )
        needed = max(1, start % 256) if start else 0
        built = build_segment(
            folder,
            start,
            end,
            batches,
            origin=ORIGIN,
            checkpoint=maker.note,
            before=last[len(last) - needed :],
            nice=0,
        )
        last = [row[1] for rows in groups[-2:] for row in rows]
        manifest = Manifest(
            ORIGIN,
            start,
            end,
            1,
            maker.frontier.root(),
            maker.note,
            built.files,
            previous=manifest_digest(before) if start else None,
        )
        before = sign_manifest(manifest, SIGNER)
        (folder / "manifest-1").write_bytes(before)
        print(f"  made {end:,} of {entries:,}", flush=True)
    write_version(data)


def _load(folders: list[Path], together: Barrier) -> None:
    global _together  # noqa: PLW0603 - one for each process
    _together = together
    for folder in folders:
        for batch in pq.ParquetFile(folder / "entries.parquet").iter_batches(columns=["entry"]):
            _entries.extend(text.encode() for text in batch.column(0).to_pylist())


def _bare(_: int) -> tuple[int, float]:
    """Each process has one of these: they wait for one another."""
    _together.wait()
    began = time.perf_counter()
    for entry in _entries:
        sha256(b"\x00" + entry).digest()
    return len(_entries), time.perf_counter() - began


def _raw(data: Path) -> int:
    read = 0
    block = memoryview(bytearray(BLOCK))
    for path in sorted((data / SEGMENTS).rglob("*")):
        if path.is_file():
            digest = sha256()
            with path.open("rb", buffering=0) as file:
                while count := file.readinto(block):
                    digest.update(block[:count])
                    read += count
    return read


def _verify(data: Path, level: Level, processes: int) -> None:
    report = verify_folder(data, vkey=SIGNER.key, level=level, processes=processes)
    if report.findings:
        raise SystemExit(str(report.findings))


def _timed(function, *arguments) -> float:
    began = time.perf_counter()
    function(*arguments)
    return time.perf_counter() - began


def measure(data: Path, processes: int, rounds: int, sample: int = 2) -> dict[str, list[float]]:
    """Entries a second of each row, and bytes a second of the two that read files."""
    folders = sorted((data / SEGMENTS).iterdir())
    size = _raw(data)  # and what is read is in the page cache, for all alike
    entries = sum(pq.ParquetFile(folder / "entries.parquet").metadata.num_rows for folder in folders)
    found: dict[str, list[float]] = {"bare": [], "hashes": [], "raw": [], "files": []}
    for _ in range(rounds):
        context = multiprocessing.get_context("spawn")
        given = (folders[:sample], context.Barrier(processes))
        with ProcessPoolExecutor(processes, context, _load, given) as pool:
            # As many as fit into memory: the loop costs the same for each entry.
            done = list(pool.map(_bare, range(processes)))
            found["bare"].append(sum(count for count, _ in done) / max(seconds for _, seconds in done))
        found["hashes"].append(entries / _timed(_verify, data, Level.HASHES, processes))
        found["raw"].append(size / _timed(_raw, data))
        found["files"].append(size / _timed(_verify, data, Level.FILES, 1))
    return found


def table(found: dict[str, list[float]], entries: str, processes: int) -> str:
    median = {name: sorted(values)[len(values) // 2] for name, values in found.items()}
    return (
        f"\n(c) {entries} sealed entries, {processes} processes, {os.cpu_count()} cores\n\n"
        "| | per second | of the row before |\n|---|---|---|\n"
        f"| bare SHA-256 loop over entries in memory | {median['bare']:,.0f} entries | |\n"
        f"| hashes, chain, roots, signatures, from the segments | {median['hashes']:,.0f} entries | {ratio(found['hashes'], found['bare'])} |\n"
        f"| SHA-256 of the same files in big blocks, one core | {median['raw'] / 1e6:,.0f} MB | |\n"
        f"| whole files against signed manifests | {median['files'] / 1e6:,.0f} MB | {ratio(found['files'], found['raw'])} |\n"
        "\naims: 0.6 and 0.8\n"
    )


def stages(data: Path, rounds: int) -> str:
    """Processor time of each step, for one entry, and how it compares with the bare loop over the entries of the same row groups."""
    taken: dict[str, list[float]] = {}
    for _ in range(rounds):
        steps, count = _stages(data)
        began = time.process_time()
        _verify(data, Level.HASHES, 1)
        whole = time.process_time() - began
        steps["joining, and all else"] = whole - sum(steps.values()) + steps["bare loop"]
        for step, seconds in [*steps.items(), ("in all", whole)]:
            taken.setdefault(step, []).append(seconds / count * 1e6)
    rows = [
        f"| {step} | {sorted(each)[rounds // 2]:.2f} | {ratio(each, taken['bare loop'])} |\n"
        for step, each in taken.items()
    ]
    return "\n| in one process | µs an entry | of the bare loop |\n|---|---|---|\n" + "".join(rows)


def _stages(data: Path) -> tuple[dict[str, float], int]:
    steps: dict[str, float] = {}
    count, at = 0, time.process_time()

    def done(step: str) -> None:
        nonlocal at
        now = time.process_time()
        steps[step] = steps.get(step, 0.0) + now - at
        at = time.process_time()

    for folder in sorted((data / SEGMENTS).iterdir()):
        file = pq.ParquetFile(folder / "entries.parquet", page_checksum_verification=True)
        for group in range(file.metadata.num_row_groups):
            first = int(folder.name) + group * GROUP_ROWS
            at = time.process_time()
            table = file.read_row_group(group, columns=list(COLUMNS), use_threads=False)
            done("reading and decoding Parquet")
            rows = plain_rows(first, table)
            done("`prev` and ends of entries out of the buffers, `seq`, lengths")
            part = Part(rows, first, first + table.num_rows)
            hashes = leaf_hashes(part)
            done("leaf hashes")
            sound_stretch(first, part.high, [part])
            done("compared with what is stored, and with `prev`")
            complete_subtrees(hashes)
            done("nodes of the tree")
            for note in rows.notes.values():
                open_checkpoint(note, [SIGNER.key], ORIGIN)
            done("signatures of checkpoints")
            entries = [text.encode() for text in table.column("entry").to_pylist()]
            at = time.process_time()
            for entry in entries:
                sha256(b"\x00" + entry).digest()
            done("bare loop")
            count += table.num_rows
    # It hashes again what it compares.
    steps["compared with what is stored, and with `prev`"] -= steps["leaf hashes"]
    return steps, count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("entries", type=int, nargs="?", default=1_000_000)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--stages", action="store_true")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(dir="/var/tmp") as temporary:
        data = asked.folder or Path(temporary) / "data"
        if not (data / SEGMENTS).exists():
            make(data, asked.entries)
        if asked.stages:
            print(stages(data, asked.rounds))
            return
        print(table(measure(data, asked.processes, asked.rounds), f"{asked.entries:,}", asked.processes))


if __name__ == "__main__":
    main()
