-- title: Which calls between organisations did only one side record?
-- answers: One row per call to or from a peer's agent of which this log has its own entry and no receipt that held of the peer's, or the other way round (what a peer gave later, `agent-ledger calls take`). `verified` is the recorder's word: `agent-ledger calls check` looks at each receipt again. A call that neither side recorded is in no log.
-- group: integrity
-- standard: NIST SP 800-53 AU-10
-- param peer: text, default none. Calls with one peer only: the origin of its log.
-- param since: timestamp, default 1970-01-01T00:00:00Z. Only what was recorded from then on, by this log's clock.
-- param until: timestamp, default 9999-01-01T00:00:00Z. Only what was recorded before.
-- param in_flight_s: integer, default 60. What was recorded less than this many seconds before the newest record of the log is in flight: the other side may still show its entry.
-- columns: time, peer (the origin of its log; of what was received without a receipt, as the caller claims), call, direction (sent or received, as seen from here), recorded_by (us or them), state (in flight; missing: nothing was shown; refused: what was shown is not believed; repeated: the call came again), problem (why it is refused), action_id, submitter, seq

WITH told AS (
    SELECT
        seq, "time", recorded_at, submitter, type, action_id,
        ext->>'$."call.id"' AS call,
        ext->>'$."call.peer"' AS peer,
        coalesce(ext->>'$."call.receipt"', 'none') AS receipt,
        ext->>'$."call.problem"' AS problem,
        ext->>'$."call.entry_type"' AS entry_type
    FROM records
    WHERE type IN ('call.sent', 'call.received', 'call.confirmed') AND ext->>'$."call.id"' IS NOT NULL
),
ours AS (
    SELECT
        *,
        CASE type WHEN 'call.sent' THEN 'call.received' ELSE 'call.sent' END AS other_type,
        row_number() OVER (PARTITION BY call, type ORDER BY receipt = 'verified' DESC, seq) AS nth
    FROM told
    WHERE type <> 'call.confirmed'
),
shown AS (
    SELECT call, peer, entry_type, min(seq) AS shown_in
    FROM told
    WHERE type = 'call.confirmed' AND receipt = 'verified'
    GROUP BY ALL
),
refused AS (
    SELECT call, peer, arg_max(problem, seq) AS problem
    FROM told
    WHERE type = 'call.confirmed' AND receipt = 'refused'
    GROUP BY ALL
),
one_sided AS (
    SELECT
        ours."time", ours.recorded_at, ours.peer, ours.call,
        CASE ours.type WHEN 'call.sent' THEN 'sent' ELSE 'received' END AS direction,
        'us' AS recorded_by, nth,
        coalesce(ours.problem, CASE ours.type WHEN 'call.sent' THEN refused.problem END) AS problem,
        ours.action_id, ours.submitter, ours.seq
    FROM ours
    LEFT JOIN shown ON shown.call = ours.call AND shown.peer = ours.peer AND shown.entry_type = ours.other_type
    LEFT JOIN refused ON refused.call = ours.call AND refused.peer = ours.peer
    WHERE nth > 1 OR (shown_in IS NULL AND ours.receipt <> 'verified')
    UNION ALL
    SELECT
        told."time", told.recorded_at, told.peer, told.call,
        CASE told.entry_type WHEN 'call.received' THEN 'sent' ELSE 'received' END,
        'them', 1, NULL, told.action_id, told.submitter, told.seq
    FROM shown
    JOIN told ON told.seq = shown.shown_in
    LEFT JOIN ours ON ours.call = shown.call AND ours.peer = shown.peer AND ours.other_type = shown.entry_type
    WHERE ours.seq IS NULL
)
SELECT
    "time", peer, call, direction, recorded_by,
    CASE
        WHEN nth > 1 THEN 'repeated'
        WHEN problem IS NOT NULL THEN 'refused'
        WHEN recorded_at > (SELECT max(recorded_at) FROM records) - to_seconds($in_flight_s) THEN 'in flight'
        ELSE 'missing'
    END AS state,
    problem, action_id, submitter, seq
FROM one_sided
WHERE ($peer::VARCHAR IS NULL OR peer = $peer)
    AND recorded_at >= $since::TIMESTAMPTZ AND recorded_at < $until::TIMESTAMPTZ
ORDER BY recorded_at, seq
