-- What the ledger stores, in one DuckDB file. `entry` is the signed truth; `hash` is its RFC 6962 leaf hash; everything
-- else is either checked against it (id, checkpoint) or committed to by it (contents, persons).
-- The tables are narrow on purpose: a commit costs what its width costs (docs/adr/0002).

CREATE TABLE entries (
    seq        UBIGINT NOT NULL,    -- index in the log, from 0, without gaps
    hash       BLOB NOT NULL,       -- SHA-256(0x00 || entry), 32 bytes
    id         VARCHAR NOT NULL,    -- the record's id, the idempotency key
    entry      VARCHAR NOT NULL,    -- canonical JSON, exactly the bytes that were hashed
    contents   VARCHAR NOT NULL,    -- what the commitments commit to: [["<member>","<salt, 32 hex>",<content>],…]; erasable
    checkpoint VARCHAR              -- signed note over the tree up to this row; on the last row of each group commit
);

CREATE TABLE persons (
    seq        UBIGINT NOT NULL,    -- the entry that first named this person
    commitment VARCHAR NOT NULL,    -- 64 hex digits, as in the entries
    salt       BLOB NOT NULL,       -- 16 bytes, one per person and log; without it the commitment says nothing
    "value"    VARCHAR NOT NULL,    -- the identifier, a JSON string
    source     VARCHAR NOT NULL     -- who made the salt: 'log'; of a sealed record the agent's key id, or its submitter
);
