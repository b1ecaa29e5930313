-- title: Which records did a source count that never arrived, or count twice?
-- answers: One row per gap or repetition in a source's own counter. It cannot show what is missing after the last number that arrived.
-- standard: NIST SP 800-53 AU-10
-- param source_id: text, default none. One source only.
-- columns: kind (missing or repeated), source_id, submitter, first_number, last_number, count (how many numbers are missing, or how many records repeat one), after (time of the last record before it), before (time of the first record after it), seq (the entry that shows it)

WITH counted AS (
    SELECT source_id, submitter, source_seq, count(*) AS times, max(seq) AS seq, min("time") AS "time"
    FROM records
    WHERE source_seq IS NOT NULL AND ($source_id::VARCHAR IS NULL OR source_id = $source_id)
    GROUP BY ALL
),
ordered AS (
    SELECT
        *,
        lag(source_seq) OVER number AS previous,
        lag("time") OVER number AS previous_time
    FROM counted
    WINDOW number AS (PARTITION BY submitter, source_id ORDER BY source_seq)
)
SELECT
    'missing' AS kind, source_id, submitter, previous + 1 AS first_number, source_seq - 1 AS last_number,
    source_seq - previous - 1 AS count, previous_time AS after, "time" AS before, seq
FROM ordered
WHERE source_seq > previous + 1
UNION ALL
SELECT 'repeated', source_id, submitter, source_seq, source_seq, times, "time", "time", seq
FROM ordered
WHERE times > 1
ORDER BY source_id, submitter, first_number, kind
