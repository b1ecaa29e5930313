-- title: Which records came into the log long after what they tell of?
-- answers: One row per source and submitter: how many records came later than so many minutes after their own time, and by how much. A spool that was away is late and honest; a story told afterwards is late too.
-- group: integrity
-- standard: NIST SP 800-53 AU-8
-- param minutes: integer, default 15. From how late on.
-- param since: timestamp, default 1970-01-01T00:00:00Z. Only what was recorded from then on.
-- columns: source_id, submitter, late, of (all its records), median_minutes (of the late ones), latest_minutes, first_recorded_at, last_recorded_at, latest_seq

WITH told AS (
    SELECT source_id, submitter, recorded_at, seq, (epoch(recorded_at) - epoch("time")) / 60 AS minutes
    FROM records
    WHERE submitter <> 'log' AND recorded_at >= $since::TIMESTAMPTZ
)
SELECT
    source_id, submitter, count(*) FILTER (minutes > $minutes) AS late, count(*) AS of,
    round(median(minutes) FILTER (minutes > $minutes), 1) AS median_minutes, round(max(minutes), 1) AS latest_minutes,
    min(recorded_at) FILTER (minutes > $minutes) AS first_recorded_at, max(recorded_at) FILTER (minutes > $minutes) AS last_recorded_at,
    arg_max(seq, minutes) AS latest_seq
FROM told
GROUP BY source_id, submitter
HAVING late > 0
ORDER BY late DESC, source_id, submitter
