"""The fact columns of sealed entries: schemas/facts.sql, run by a DuckDB in memory."""

from pathlib import Path
from typing import Any, Final

import duckdb
import pyarrow as pa

from ledger.core.errors import Code, LedgerError
from ledger.records.columns import column_name
from ledger.records.members import CONTENTS
from ledger.records.resources import schema_text
from ledger.storage.checking import differs, table_digest
from ledger.storage.manifest import FileInfo
from ledger.storage.parquet import FACT_GROUP_ROWS, GroupedWriter, ParquetReader

_CONFIG: Final[dict[str, Any]] = {
    "threads": 1,
    "memory_limit": "1GB",
    "temp_directory": "",
    "autoload_known_extensions": False,
    "autoinstall_known_extensions": False,
    "python_enable_replacements": False,
}
_UNIQUE: Final = {"seq", "id", *(f"{column_name(member)}_commitment" for member in CONTENTS)}
_INPUT: Final = pa.schema([("seq", pa.uint64()), ("entry", pa.string())])


class Facts:
    """Projects entries. Used by one thread.

    Attributes:
        schema: of what it gives.
    """

    def __init__(self) -> None:
        self._db = duckdb.connect(":memory:", config=_CONFIG)
        self._db.execute("SET GLOBAL TimeZone = 'UTC'")
        self._db.execute("SET enable_external_access = false")
        self._sql = schema_text("facts.sql").strip()
        self.schema: pa.Schema = self.of(_INPUT.empty_table()).schema

    def of(self, rows: pa.Table) -> pa.Table:
        """The facts of rows with `seq` and `entry`, in their order. Many at a time: half of the price of a few is the plan.

        Raises:
            LedgerError: `storage-failed`: an entry is not what the projection reads.
        """
        self._db.register("entries", rows.select(_INPUT.names))
        try:
            facts = self._db.sql(self._sql).to_arrow_table()
        except duckdb.Error as error:
            detail = f"the columns of the entries cannot be made: {str(error).splitlines()[0]}"
            raise LedgerError(Code.STORAGE_FAILED, detail) from error
        finally:
            self._db.unregister("entries")
        if not facts.column("seq").combine_chunks().equals(rows.column("seq").combine_chunks()):
            raise LedgerError(Code.STORAGE_FAILED, "the columns of the entries came in another order")
        return facts.combine_chunks()

    def close(self) -> None:
        """Let the database go."""
        self._db.close()


class FactsFile:
    """The fact columns of entries that were re-read, and what they must read back as."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._facts = Facts()
        repeating = [name for name in self._facts.schema.names if name not in _UNIQUE]
        self._writer = GroupedWriter(path, self._facts.schema, rows=FACT_GROUP_ROWS, dictionaries=repeating)
        self._digests: list[bytes] = []

    def add(self, table: pa.Table) -> pa.Table:
        """Project rows, and write what comes out as one row group; returns it."""
        facts = self._facts.of(table)
        self._writer.write(facts)
        self._writer.end_group()
        self._digests.append(table_digest(facts))
        return facts

    def finish(self) -> FileInfo:
        """Make the file durable."""
        return self._writer.close()

    def check(self) -> None:
        """Compare what stands in it with what was projected.

        Raises:
            LedgerError: `storage-failed`.
        """
        reader = ParquetReader(self._path, self._facts.schema)
        if len(reader.rows()) != len(self._digests):
            differs(self._path.name, "it has another number of row groups than were written")
        for group, digest in enumerate(self._digests):
            if table_digest(reader.read(group)) != digest:
                differs(self._path.name, f"row group {group} does not hold what its entries say")
        reader.close()
        self._facts.close()
