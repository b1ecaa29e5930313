-- title: Which tools fail, and how?
-- answers: One row per tool and class of error, with its share of the tool's calls. An error without a known class goes by the first words of what the tool said.
-- group: anomaly
-- standard: OWASP ASI08
-- param since: timestamp, default 1970-01-01T00:00:00Z. Only what happened from then on.
-- columns: tool_name, tool_server, error, failures, percent (of the tool's calls), agents, first_time, last_time, first_seq

WITH call AS (
    SELECT *, count(*) OVER (PARTITION BY tool_name, tool_server) AS calls
    FROM (
        SELECT
            tool_name, tool_server, outcome_status, "time", seq, coalesce(identity_agent_id, identity_agent_name) AS agent,
            CASE WHEN outcome_status IN ('failure', 'timeout') THEN coalesce(
                nullif(outcome_error_type, '_OTHER'), left(outcome_result->>'$', 40), outcome_error_type, outcome_status) END AS error
        FROM actions
        WHERE "time" >= $since::TIMESTAMPTZ
    )
)
SELECT
    tool_name, tool_server, error, count(*) AS failures, round(100.0 * count(*) / any_value(calls), 1)::DOUBLE AS percent,
    list_sort(list_distinct(list(agent))) AS agents, min("time") AS first_time, max("time") AS last_time, min(seq) AS first_seq
FROM call
WHERE error IS NOT NULL
GROUP BY tool_name, tool_server, error
ORDER BY failures DESC, tool_name, error
