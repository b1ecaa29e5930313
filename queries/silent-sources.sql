-- title: Which sources have stopped recording while others go on?
-- answers: One row per source and submitter that was silent for longer than its own longest pause, and for so many minutes at least, at the time of the log's newest record: stopped, cut off, or switched off.
-- group: integrity
-- standard: NIST SP 800-53 AU-5
-- param minutes: integer, default 60. From how long a silence on.
-- columns: source_id, submitter, records, last_recorded_at, silent_minutes, longest_pause_minutes (before), last_type, last_seq

WITH told AS (
    SELECT
        source_id, submitter, recorded_at, "type", seq,
        epoch(recorded_at) - epoch(lag(recorded_at) OVER (PARTITION BY submitter, source_id ORDER BY seq)) AS pause
    FROM records
    WHERE source_id IS NOT NULL AND submitter <> 'log'
)
SELECT
    source_id, submitter, count(*) AS records, max(recorded_at) AS last_recorded_at,
    round((epoch((SELECT max(recorded_at) FROM records)) - epoch(max(recorded_at))) / 60, 1) AS silent_minutes,
    round(coalesce(max(pause), 0) / 60, 1) AS longest_pause_minutes, arg_max("type", seq) AS last_type, max(seq) AS last_seq
FROM told
GROUP BY source_id, submitter
HAVING silent_minutes >= $minutes AND silent_minutes > longest_pause_minutes
ORDER BY last_recorded_at, source_id
