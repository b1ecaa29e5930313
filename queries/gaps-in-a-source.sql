-- title: Which records did a source count that never arrived, arrived out of order, or were counted twice?
-- answers: One row per gap, late record or repetition in a source's own counter. It cannot show what is missing after the last number that arrived. Nothing is refused or put in order for it: of two records under one number both are kept, each as it was sent.
-- group: integrity
-- standard: NIST SP 800-53 AU-10
-- param source_id: text, default none. One source only.
-- columns: kind (missing, late or repeated), source_id, submitter, first_number, last_number, count (how many numbers are missing, how many the late one was behind, or how many records have one number), after (time of the last record before it, of the one that overtook it, or of the first of the repeated), before (time of the first record after it, or its own), seq (the entry that shows it)

WITH counted AS (
    SELECT
        source_id, submitter, source_seq, count(*) AS times, min(seq) AS first_seq, max(seq) AS seq,
        arg_min("time", seq) AS "time", arg_max("time", seq) AS last_time
    FROM records
    WHERE source_seq IS NOT NULL AND ($source_id::VARCHAR IS NULL OR source_id = $source_id)
    GROUP BY source_id, submitter, source_seq
),
ordered AS (
    SELECT
        *,
        lag(source_seq) OVER number AS previous,
        lag("time") OVER number AS previous_time,
        max(source_seq) OVER arrival AS reached,
        max_by("time", source_seq) OVER arrival AS reached_time
    FROM counted
    WINDOW
        number AS (PARTITION BY submitter, source_id ORDER BY source_seq),
        arrival AS (PARTITION BY submitter, source_id ORDER BY first_seq ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
)
SELECT
    'missing' AS kind, source_id, submitter, previous + 1 AS first_number, source_seq - 1 AS last_number,
    source_seq - previous - 1 AS count, previous_time AS after, "time" AS before, seq
FROM ordered
WHERE source_seq > previous + 1
UNION ALL
SELECT 'late', source_id, submitter, source_seq, source_seq, reached - source_seq, reached_time, "time", seq
FROM ordered
WHERE times = 1 AND source_seq < reached
UNION ALL
SELECT 'repeated', source_id, submitter, source_seq, source_seq, times, "time", last_time, seq
FROM ordered
WHERE times > 1
ORDER BY source_id, submitter, first_number, kind
