-- title: Which records about an agent came from a submitter that does not usually speak for it?
-- answers: One row per agent and submitter that wrote at most so many percent of the agent's records, or first wrote after the baseline: a stolen token, or a new deployment.
-- group: integrity
-- standard: OWASP ASI03
-- param percent: integer, default 5. Up to what share of the agent's records.
-- param baseline_until: timestamp, default 9999-12-31T00:00:00Z. Who first wrote of the agent after this is listed whatever its share.
-- columns: agent, submitter, records, percent (of the agent's records), usual (who wrote most of them), sources, first_recorded_at, last_recorded_at, first_seq

WITH wrote AS (
    SELECT
        coalesce(identity_agent_id, identity_agent_name) AS agent, submitter, count(*) AS records,
        coalesce(list_sort(list(DISTINCT source_id) FILTER (source_id IS NOT NULL)), []) AS sources,
        min(recorded_at) AS first_recorded_at, max(recorded_at) AS last_recorded_at, min(seq) AS first_seq
    FROM records
    WHERE coalesce(identity_agent_id, identity_agent_name) IS NOT NULL
    GROUP BY agent, submitter
),
share AS (
    SELECT
        *, 100.0 * records / sum(records) OVER (PARTITION BY agent) AS percent,
        first_value(submitter) OVER (PARTITION BY agent ORDER BY records DESC, first_seq) AS usual
    FROM wrote
)
SELECT agent, submitter, records, round(percent, 2)::DOUBLE AS percent, usual, sources, first_recorded_at, last_recorded_at, first_seq
FROM share
WHERE submitter <> usual AND (share.percent <= $percent OR first_recorded_at >= $baseline_until::TIMESTAMPTZ)
ORDER BY first_recorded_at, agent, submitter
