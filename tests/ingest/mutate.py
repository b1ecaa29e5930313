"""Broken Arrow streams by the thousand, in a process of their own: python -m tests.ingest.mutate <seed> <count>.

A stream is refused, or its records are read or refused; anything else, a crash of the reader above all, ends the process with another status than 0.
"""

import random
import resource
import sys

import pyarrow as pa

from ledger.core.errors import LedgerError
from ledger.records.prepared import Prepared
from tests.ingest.arrows import stream, table
from tests.ingest.conftest import Judge
from tests.records.full import full

MEMORY_BYTES = 3 * 1024 * 1024 * 1024


def seeds():
    """Streams of every layout that is taken."""
    records = [full() | {"id": f"r-{number}"} for number in range(6)]
    data = table(records)
    texts = [field.name for field in data.schema if field.type == pa.string()]

    def each(change):
        return pa.table(
            {name: change(data[name]) if name in texts else data[name] for name in data.column_names}
        )

    small = data.select(["type", "time", "id", "tool_name", "tool_arguments", "request_user", "source_seq"])
    nested = pa.array([record["identity"]["actors"] for record in records])
    facts = pa.array([record["tool"]["facts"] for record in records])
    index = data.column_names.index("identity_actors")
    yield stream(small)
    yield stream(small, compression="lz4")
    yield stream(small, compression="zstd", rows_per_batch=2)
    yield stream(data)
    yield stream(each(lambda column: column.dictionary_encode()), rows_per_batch=3)
    yield stream(each(lambda column: column.cast(pa.string_view())))
    yield stream(each(lambda column: column.cast(pa.large_string())))
    yield stream(
        data.set_column(index, "identity_actors", nested)
        .drop_columns(["tool_facts"])
        .append_column("tool_facts", facts)
    )


def broken(body, random_):
    """The stream with a few of its bytes changed, cut out, or said twice; most often where lengths and offsets are."""
    data = bytearray(body)
    for _ in range(random_.choice((1, 1, 1, 2, 4, 16))):
        at = random_.randrange(len(data))
        kind = random_.randrange(6)
        if kind == 0:
            data[at] ^= 1 << random_.randrange(8)
        elif kind == 1:
            data[at] = random_.choice((0, 1, 0x7F, 0x80, 0xFF))
        elif kind == 2:
            word = random_.choice((0, 1, 2**31 - 1, 2**31, 2**32 - 1, len(data), random_.getrandbits(16)))
            at -= at % 4
            data[at : at + 4] = word.to_bytes(4, "little")
        elif kind == 3:
            at -= at % 8
            data[at : at + 8] = random_.choice((2**63 - 1, 2**63, 2**40, 2**64 - 1, 1)).to_bytes(8, "little")
        elif kind == 4:
            del data[at : at + random_.choice((1, 4, 8, 64))]
        else:
            data[at:at] = data[at : at + random_.choice((8, 64, 512))]
        if not data:
            break
    return bytes(data)


def main(seed, count):
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    random_ = random.Random(seed)
    originals = list(seeds())
    told = {"read": 0, "refused": 0, "a record refused": 0}
    for number in range(count):
        body = broken(random_.choice(originals), random_)
        judge = Judge()
        try:
            outcomes = judge.arrow(body)
        except LedgerError:
            told["refused"] += 1
            continue
        except BaseException:
            sys.stderr.write(f"seed {seed}, number {number}\n")
            raise
        good = all(isinstance(outcome, Prepared) for outcome in outcomes)
        told["read" if good else "a record refused"] += 1
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    sys.stdout.write(f"{told}, {peak} MiB\n")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
