"""The builder: makes the file of sealed tables that query workers read. `python -m ledger.forensics.builder`.

It runs nobody's SQL but ours. Frames in, on standard input: `open` (first, once; with the file to go on from, where there is one), `persons` (Arrow
IPC), `segment` (files of a sealed segment), `follow` (where entries go on), `entries` (Arrow IPC), `finish` (a signed checkpoint; answered with the
file's digest). Each but `open` is answered. What a segment's files hold is compared with the digests of its signed manifest, every other entry with the log's hashes, and the whole with the checkpoint.
"""

import os
import resource
import sys
from pathlib import Path
from typing import IO, Any, Final

import duckdb
import pyarrow as pa

from ledger.core.errors import Code, LedgerError
from ledger.core.keyhistory import KeyHistory
from ledger.core.ranges import parse_ranges
from ledger.forensics.evidence import CHECKED_CONTENT, Evidence, altered, checked_persons
from ledger.forensics.frames import Frame, read_frame, write_frame
from ledger.forensics.stored import Stored
from ledger.forensics.views import load_views
from ledger.records.columns import column_name
from ledger.records.members import CONTENTS as CONTENT_PATHS
from ledger.records.members import PERSONS as PERSON_PATHS
from ledger.storage.background import stand_back
from ledger.storage.contents import parse_columns
from ledger.storage.manifest import CONTENTS, ENTRIES, FACTS, FileInfo
from ledger.storage.parquet import CONTENTS_SCHEMA, ParquetReader
from ledger.storage.remaking import without_removed
from ledger.storage.removed import Removed
from ledger.storage.synced import digest_of, pieces

NICENESS: Final = 15
_CONFIG: Final[dict[str, Any]] = {
    "threads": 1,
    "autoload_known_extensions": False,
    "autoinstall_known_extensions": False,
    "python_enable_replacements": False,
}


class Builder:
    """One file in the making."""

    def __init__(self, opening: dict[str, Any]) -> None:
        stand_back(NICENESS)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        self._path = Path(opening["path"])
        if opening["before"] is not None:
            _copy(Path(opening["before"]), self._path)
        self._db = duckdb.connect(
            str(self._path),
            config={
                **_CONFIG,
                "memory_limit": f"{opening['memory_bytes']}B",
                "temp_directory": f"{self._path}.tmp",
            },
        )
        self._stored = Stored(self._db, size=opening["size"])
        self._evidence = Evidence(KeyHistory.from_json(opening["keys"]))
        gone = opening["removed"]
        self._removed = Removed(
            parse_ranges(gone["entries"]),
            parse_ranges(gone["contents"]),
            {member: parse_ranges(pairs) for member, pairs in gone["erased"].items()},
        )

    def obey(self, frame: Frame) -> dict[str, Any]:
        """Do what one frame says.

        Raises:
            LedgerError: `evidence-altered`: what came is not what the log signed.
        """
        header = frame.header
        match header["kind"]:
            case "persons":
                self._stored.take_persons(checked_persons(_read(frame.body)))
            case "segment":
                self._take_segment(header)
            case "follow":
                nodes = [bytes.fromhex(node) for node in header["nodes"]]
                self._evidence.follow(header["size"], nodes, bytes.fromhex(header["prev"]))
            case "entries":
                for batch in _read(frame.body).combine_chunks().to_batches():
                    self._stored.take(self._evidence.take(batch), self._evidence.size)
            case "finish":
                return self._finish(frame.body)
        return {"size": self._stored.size}

    def _take_segment(self, header: dict[str, Any]) -> None:
        paths = {role: Path(path) for role, (path, _) in header["files"].items()}
        for role, (_, info) in header["files"].items():
            if digest_of(paths[role]) != FileInfo(*info):
                raise altered(f"{paths[role]} is not the file that its manifest names")
        run = self._db.execute
        run(
            "CREATE OR REPLACE TABLE live.content (seq UBIGINT, contents STRUCT(member VARCHAR, value VARCHAR)[])"
        )
        reader = ParquetReader(paths[CONTENTS], CONTENTS_SCHEMA)
        for group in range(len(reader.rows())):
            self._take_contents(without_removed(reader.read(group), self._removed))
        reader.close()
        run("CREATE OR REPLACE TABLE live.gone (low UBIGINT, high UBIGINT)")
        gone = self._removed.entries.clip(header["start"], header["end"]).pairs()
        if gone:
            self._db.executemany("INSERT INTO live.gone VALUES (?, ?)", gone)
        run(self._of_segment(), {"facts": str(paths[FACTS]), "entries": str(paths[ENTRIES])})
        run("DROP TABLE live.content")
        self._stored.grown(header["end"])

    def _take_contents(self, table: pa.Table) -> None:
        columns = parse_columns(table.column("contents").cast(pa.binary()).to_pylist())
        values = pa.array(columns.values, pa.binary()).cast(pa.string())
        structs = pa.StructArray.from_arrays(
            [pa.array(columns.members, pa.string()), values], fields=list(CHECKED_CONTENT)
        )
        lists = pa.ListArray.from_arrays(pa.array(columns.ends, pa.int32()), structs)
        self._db.register("parsed", pa.table({"seq": table.column("seq"), "contents": lists}))
        self._db.execute("INSERT INTO live.content FROM parsed")
        self._db.unregister("parsed")

    def _of_segment(self) -> str:
        """Fills `stored.records` from a segment's files: facts stand there as columns, contents and persons are joined to them."""
        contents = {column_name(path): path for path in CONTENT_PATHS}
        persons = [column_name(path) for path in PERSON_PATHS]
        columns = []
        for name, *_ in self._db.execute("DESCRIBE stored.records").fetchall():
            if name == "leaf_hash":
                columns.append("lower(hex(entry.hash))")
            elif name in contents:
                columns.append(f"content['{contents[name]}']")
            elif name in persons:
                columns.append(f"json_extract_string(person_{name}.value, '$')")
            else:
                columns.append(f'fact."{name}"')
        joins = " ".join(
            f"LEFT JOIN stored.persons person_{name} ON person_{name}.commitment = fact.{name}_commitment"
            for name in persons
        )
        return f"""
            INSERT INTO stored.records SELECT {", ".join(columns)}
            FROM read_parquet($facts) fact
            JOIN (SELECT seq, hash FROM read_parquet($entries)) entry ON entry.seq = fact.seq
            LEFT JOIN (SELECT seq, map(list_transform(contents, lambda c: c.member), list_transform(contents, lambda c: c.value)) AS content
                FROM live.content) content ON content.seq = fact.seq
            {joins}
            WHERE fact.recorded_at IS NOT NULL AND NOT EXISTS (FROM live.gone WHERE fact.seq >= low AND fact.seq < high)
            ORDER BY fact.seq"""

    def _finish(self, note: bytes) -> dict[str, Any]:
        root = self._evidence.check(note)
        self._stored.join()
        self._stored.show(views=list(load_views().values()))
        self._stored.settle()
        self._db.close()
        return {"size": self._evidence.size, "root": root.hex(), "info": list(digest_of(self._path))}


def _copy(before: Path, path: Path) -> None:
    """Synced piece by piece: a sync of all of it would make the log's own wait behind it."""
    with path.open("xb", buffering=0) as copy:
        for piece in pieces(before):
            copy.write(piece)
            os.fdatasync(copy.fileno())


def _read(body: bytes) -> pa.Table:
    return pa.ipc.open_stream(body).read_all()


def serve(asking: IO[bytes], answering: IO[bytes]) -> None:
    """Until the file is made, or the service goes away."""
    opening = read_frame(asking)
    if opening is None:
        return
    try:
        builder = Builder(opening.header)
        while (frame := read_frame(asking)) is not None:
            write_frame(answering, builder.obey(frame))
    except LedgerError as error:
        write_frame(answering, {"code": error.code, "detail": error.detail})
    except (duckdb.Error, OSError, MemoryError) as error:
        detail = f"the sealed tables for queries cannot be made: {str(error).splitlines()[0]}"
        write_frame(answering, {"code": Code.STORAGE_FAILED, "detail": detail})


def main() -> None:
    """Serve on the pipes."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    serve(sys.stdin.buffer, answers)


if __name__ == "__main__":
    main()
