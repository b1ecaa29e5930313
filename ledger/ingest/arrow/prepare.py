"""An Arrow IPC stream → records as the log takes them: the bulk way in, where what is checked is checked by column.

    body ─▶ framing    how much is it? sizes added up from the metadata, nothing made
            schema     which columns, of which types
            validate   Arrow's own full validation: offsets, UTF-8, indices
            plain      dictionaries, views, timestamps, nested values → text and int64
            columnar   checks, commitments, canonical JSON of all rows at once; rows in doubt →
            rows       → the JSON record of one row, judged as any other (`ledger.records.prepare`)

What a hostile stream can do: Arrow's reader is C++ in this process. It verifies the FlatBuffers of a message before it follows them; its sizes
were bounded before it is called; nothing looks into a column before it was validated in full; of its types few are taken. Nothing in a stream is
code: no pickles, no extension type of ours. A flaw in the C++ itself would reach the process that signs, and needs a token that may write.
"""

from collections.abc import Callable
from typing import Final

import pyarrow as pa

from ledger.core.errors import LedgerError
from ledger.ingest.arrow.columnar import prepare_columns
from ledger.ingest.arrow.flat import malformed
from ledger.ingest.arrow.framing import check_framing
from ledger.ingest.arrow.plain import Budget, plain
from ledger.ingest.arrow.rows import record_json
from ledger.ingest.arrow.schema import check_schema
from ledger.records.columns import Column
from ledger.records.limits import BODY_BYTES
from ledger.records.prepare import prepare
from ledger.records.prepared import PersonSalts, Prepared

MEDIA_TYPE: Final = "application/vnd.apache.arrow.stream"
_OPTIONS: Final = pa.ipc.IpcReadOptions(ensure_native_endian=False, use_threads=False)
SHOWN_CHARACTERS: Final = 200


def prepare_stream(
    body: bytes,
    *,
    submitter: str,
    persons: PersonSalts,
    origin: str,
    agent_key: Callable[[str], bytes | None],
    require_facets: bool = False,
) -> list[Prepared | LedgerError]:
    """What each row becomes, in their order: prepared, or why it is refused. Arguments as `ledger.records.prepare.prepare` has them.

    Raises:
        LedgerError: the stream as a whole: `malformed-arrow`, `too-many-records`, `body-too-large`, `unknown-member`, `invalid-member`.
    """
    columns = _read(body)
    lines = Budget(2 * BODY_BYTES)  # escapes make of a byte as many as six

    def alone(row: int) -> Prepared | LedgerError:
        cells = {column.name: array[row].as_py() for column, array in columns.items()}
        try:
            line = record_json({name: cell for name, cell in cells.items() if cell is not None})
        except LedgerError as error:
            return error.without_frames()
        lines.spend(len(line))
        try:
            return prepare(
                line,
                submitter=submitter,
                persons=persons,
                origin=origin,
                agent_key=agent_key,
                require_facets=require_facets,
            )
        except LedgerError as error:
            return error.without_frames()

    return prepare_columns(
        columns, submitter=submitter, persons=persons, require_facets=require_facets, alone=alone
    )


def _read(body: bytes) -> dict[Column, pa.Array]:
    """The columns of all batches, plain."""
    check_framing(body)
    budget = Budget()
    try:
        with pa.ipc.open_stream(pa.py_buffer(body), options=_OPTIONS) as reader:
            columns = check_schema(reader.schema)
            parts: list[list[pa.Array]] = [[] for _ in columns]
            for batch in reader:
                batch.validate(full=True)
                for part, column, array in zip(parts, columns, batch.columns, strict=True):
                    part.append(plain(column, array, budget))
            return {column: pa.concat_arrays(part) for column, part in zip(columns, parts, strict=True)}
    except LedgerError:
        raise
    except (
        pa.ArrowException,
        ArithmeticError,
        LookupError,
        NotImplementedError,
        OSError,
        TypeError,
        ValueError,
    ) as error:
        said = str(error).partition("\n")[0]
        raise malformed(said if len(said) <= SHOWN_CHARACTERS else f"{said[:SHOWN_CHARACTERS]}…") from None
