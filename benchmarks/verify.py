"""(c) Verification of a stopped log, against a bare SHA-256 loop over the same bytes on one core.

The same bytes are, for hashes, chain, roots and signatures, the entries; for everything, the entries and the contents, one by one.
The records are of one shape (`ledger.core.shape`), which is the best case: with many shapes, or escapes in their strings, everything takes
up to twice as long.
"""

import gc
import multiprocessing
import os
import tempfile
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from hashlib import sha256
from pathlib import Path

from benchmarks.options import Options
from benchmarks.records import texts
from benchmarks.running import ratio
from ledger.audit.fsck import verify_folder
from ledger.core.chain import Stored
from ledger.core.note import parse_vkey
from ledger.core.report import Level
from ledger.core.stretch import STRETCH_ENTRIES, check_stretch
from ledger.core.verify import Verifier
from ledger.log.log import Log
from ledger.records.prepare import prepare
from ledger.storage.contents import parse_contents

ORIGIN, BATCH = "bench.example/log", 500
PROCESSES = 2
BARE = "bare SHA-256 loop over the entries"
BARE_ALL = "bare SHA-256 loop over entries and contents"
_stretches: list[Stored] = []


def _fill(folder: Path, count: int) -> str:
    Log.create(folder, ORIGIN)
    log = Log.open(folder)
    lines = texts(count)
    for at in range(0, count, BATCH):
        items = [
            prepare(
                line.encode(),
                submitter="token:bench",
                persons=log.persons,
                origin=ORIGIN,
                agent_key=log.agent_key,
            )
            for line in lines[at : at + BATCH]
        ]
        settled = threading.Event()
        log.submit(items, atomic=True, done=lambda _, settled=settled: settled.set())
        settled.wait()
    log.close()
    return log.vkey


def _read(folder: Path) -> tuple[list[Stored], list[bytes]]:
    """The stretches in memory, and the contents."""
    log = Log.open(folder)
    rows, contents = [], []
    for batch in log.rows(0, log.head().size):
        contents.extend(
            c.value for text in batch.column("contents").to_pylist() for c in parse_contents(text)
        )
        rows.extend(batch.drop_columns(["contents"]).to_pylist())
    log.close()
    found = []
    for start in range(0, len(rows), STRETCH_ENTRIES):
        part = rows[start : start + STRETCH_ENTRIES]
        following = rows[start + STRETCH_ENTRIES : start + STRETCH_ENTRIES + 1]
        found.append(
            Stored(
                start=start,
                entries=[row["entry"].encode() for row in part],
                hashes=[row["hash"] for row in part],
                notes={row["seq"]: row["checkpoint"].encode() for row in part if row["checkpoint"]},
                following=[row["entry"].encode() for row in following],
            )
        )
    return found, contents


def _stretch(index: int, hints):
    return check_stretch(_stretches[index], hints)


def _hashes(vkey: str, pool: ProcessPoolExecutor | None) -> None:
    """Hashes, chain, every root and every signature, of entries in memory; a pool has its processes already."""
    verifier = Verifier(parse_vkey(vkey), level=Level.HASHES)
    if pool is None:
        for stored in _stretches:
            verifier.join(check_stretch(stored, verifier.hints(stored.start)))
    else:
        hints = [verifier.hints(stored.start) for stored in _stretches]
        for outcome in pool.map(_stretch, range(len(_stretches)), hints):
            verifier.join(outcome)
    report = verifier.finish()
    if report.findings:
        raise SystemExit(report.findings)


def _everything(folder: Path, vkey: str, processes: int) -> None:
    report = verify_folder(folder, vkey=parse_vkey(vkey), processes=processes)
    if report.findings:
        raise SystemExit(report.findings)


def _bare(*several: list[bytes]) -> None:
    for texts_ in several:
        for text in texts_:
            sha256(text).digest()


def _timed(function, *arguments) -> float:
    began = time.perf_counter()
    function(*arguments)
    return time.perf_counter() - began


def run(options: Options) -> dict:
    count, rounds = (20_000, 2) if options.quick else (200_000, 3)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "data"
        vkey = _fill(folder, count)
        _stretches[:], contents = _read(folder)
        gc.collect()
        gc.freeze()  # what stands in memory for the first rows is nothing that a verifier would walk through
        entries = [entry for stored in _stretches for entry in stored.entries]
        rates: dict[str, list[float]] = {}
        with ProcessPoolExecutor(PROCESSES, multiprocessing.get_context("fork")) as pool:
            _hashes(vkey, pool)  # it has the entries by a fork, and copies what it touches the first time
            for _ in range(rounds):
                for name, function, arguments in (
                    (BARE, _bare, (entries,)),
                    ("hashes, chain, roots, signatures", _hashes, (vkey, None)),
                    (f"the same, {PROCESSES} processes", _hashes, (vkey, pool)),
                    (BARE_ALL, _bare, (entries, contents)),
                    ("everything, from the database", _everything, (folder, vkey, 1)),
                    (
                        f"the same, {PROCESSES} processes and their start",
                        _everything,
                        (folder, vkey, PROCESSES),
                    ),
                ):
                    rates.setdefault(name, []).append(len(entries) / _timed(function, *arguments))
    print(
        f"\n(c) verification of {len(entries)} entries of {_mean(entries):.0f} bytes with {len(contents)} contents of "
        f"{_mean(contents):.0f}, {rounds} rounds, {os.cpu_count()} cores\n"
    )
    print("| | entries/s | of the bare loop above it |\n|---|---|---|")
    bare: list[float] = []
    for name, values in rates.items():
        bare = values if name in (BARE, BARE_ALL) else bare
        print(f"| {name} | {sorted(values)[len(values) // 2]:.0f} | {ratio(values, bare)} |")
    print("\naims: 0.5 for hashes, chain, roots and signatures; 0.1 for everything")
    return {"entries_per_second": rates}


def _mean(several: list[bytes]) -> float:
    return sum(map(len, several)) / len(several)
