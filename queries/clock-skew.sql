-- title: Whose clock cannot be right?
-- answers: One row per source and submitter with records from the ledger's future, or whose own counter goes up while its time goes back. Both make the order of what happened uncertain.
-- group: integrity
-- standard: NIST SP 800-53 AU-8
-- param seconds: integer, default 5. What is tolerated.
-- columns: source_id, submitter, records, from_the_future (later than when the ledger took them), furthest_seconds, backwards (times that went back while the counter went up), furthest_back_seconds, first_seq

WITH told AS (
    SELECT
        source_id, submitter, seq, epoch("time") - epoch(recorded_at) AS ahead,
        CASE WHEN source_seq IS NOT NULL THEN epoch(lag("time") OVER counted) - epoch("time") END AS back
    FROM records
    WHERE submitter <> 'log'
    WINDOW counted AS (PARTITION BY submitter, source_id, source_seq IS NULL ORDER BY source_seq, seq)
)
SELECT
    source_id, submitter, count(*) AS records, count(*) FILTER (ahead > $seconds) AS from_the_future,
    max(ahead) FILTER (ahead > $seconds) AS furthest_seconds, count(*) FILTER (back > $seconds) AS backwards,
    max(back) FILTER (back > $seconds) AS furthest_back_seconds, min(seq) FILTER (ahead > $seconds OR back > $seconds) AS first_seq
FROM told
GROUP BY source_id, submitter
HAVING from_the_future > 0 OR backwards > 0
ORDER BY from_the_future + backwards DESC, source_id, submitter
