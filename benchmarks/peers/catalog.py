"""Who is compared, how each is called, and what its code says of durability and of tampering; `syncs` in the table is what was counted."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Peer:
    """One row of the table.

    Attributes:
        module: of `benchmarks.peers` in Python, or the program's folder under `benchmarks/peers/go`.
        form: how it is called, as `module` names it.
        durable: what is on disk when a write returns.
        evident: what would show that a record was altered, cut off or left out later.
        environment: its requirements file's name; None for the project's own Python; "go" for a Go program.
    """

    name: str
    module: str
    form: str
    durable: str
    evident: str
    environment: str | None = None


_CHAIN = "a SHA-256 chain, unsigned: whoever can write can make it anew"
_AGT_NORMAL = "no: SQLite with synchronous=NORMAL, no fsync at a commit"

LEDGER = Peer(
    "**Agent Ledger**, from the record's bytes",
    "ours",
    "from bytes",
    "yes: an fsync for each group, and the head anchor's",
    "commitments, chain, Merkle tree, Ed25519 over each group, an anchor outside the folder",
)

PEERS = (
    LEDGER,
    Peer(
        "**Agent Ledger**, the write path alone (records read beforehand)",
        "ours",
        "prepared",
        LEDGER.durable,
        LEDGER.evident,
    ),
    Peer("bare SQLite, group commit", "baselines", "sqlite", "yes: WAL, synchronous=FULL", _CHAIN),
    Peer("bare DuckDB, group commit", "baselines", "duckdb", "yes: its WAL is synced", _CHAIN),
    Peer(
        "PostgreSQL, INSERT … RETURNING",
        "postgresql",
        "insert",
        "yes: fsync and synchronous_commit on",
        "none",
        "postgresql",
    ),
    Peer(
        "PostgreSQL, COPY", "postgresql", "copy", "yes: fsync and synchronous_commit on", "none", "postgresql"
    ),
    Peer(
        "AGT audit log, in memory",
        "agt",
        "in memory",
        "no: nothing is on disk",
        "a Merkle tree in memory, unsigned",
        "agt",
    ),
    Peer(
        "AGT audit log, file sink",
        "agt",
        "file sink",
        "no: written, never synced",
        "a chain and HMAC; whoever has the key can make it anew",
        "agt",
    ),
    Peer(
        "AGT file sink alone, write_batch",
        "agt",
        "file sink alone",
        "no: written, never synced",
        "a chain and HMAC; whoever has the key can make it anew",
        "agt",
    ),
    Peer(
        "AGT FlightRecorder, its defaults",
        "agt",
        "flight recorder",
        "no: up to 100 writes wait in memory; then " + _AGT_NORMAL.partition(": ")[2],
        _CHAIN,
        "agt",
    ),
    Peer("AGT FlightRecorder, no batching", "agt", "flight recorder, each", _AGT_NORMAL, _CHAIN, "agt"),
    Peer(
        "witness-log, sync for each batch, payloads kept",
        "witness_log",
        "journal",
        "yes: `sync` after each batch",
        "salted leaves, a Merkle tree; signed when a checkpoint is asked for, which this does not",
        "witness-log",
    ),
    Peer(
        "agent-receipts, its SQLite store",
        "agent_receipts",
        "store",
        "yes: SQLite's default, an fsync for each receipt",
        "a chain, Ed25519 over each receipt; contents as hashes only",
        "agent-receipts",
    ),
    Peer("vaara, its SQLite trail", "vaara", "trail", _AGT_NORMAL, _CHAIN, "vaara"),
    Peer(
        "immudb, embedded store, its defaults",
        "immudb",
        "default",
        "yes: synced, every 20 ms",
        "a chain of transactions and a Merkle tree, unsigned in this form",
        "go",
    ),
    Peer(
        "immudb, embedded store, synced within 1 ms",
        "immudb",
        "prompt",
        "yes: synced, every ms",
        "a chain of transactions and a Merkle tree, unsigned in this form",
        "go",
    ),
    Peer(
        "Tessera POSIX, integrated",
        "tessera",
        "integrated",
        "yes: files written through and renamed",
        "a Merkle tree; no signature covers the entry yet",
        "go",
    ),
    Peer(
        "Tessera POSIX, published",
        "tessera",
        "published",
        "yes: files written through and renamed",
        "a Merkle tree, a signed checkpoint over each interval (100 ms)",
        "go",
    ),
)
