-- title: Which recipients and resources were acted on that had never been seen before?
-- answers: One row per recipient or resource that was sent to, paid or changed since the baseline ended, and never before that. A first time is not a wrong one.
-- group: anomaly
-- standard: ISO/IEC 42001 A.6.2.6
-- param baseline_until: timestamp, required. What happened before is taken for normal.
-- param include_reads: boolean, default false. Count what was only read, too.
-- columns: recipient, tool_name, first_time, calls, denied (how many of them a record says were denied), agents, conversations, first_seq

WITH touched AS (
    SELECT *, coalesce(resource_destination, resource_id) AS recipient
    FROM actions
    WHERE coalesce(resource_destination, resource_id) IS NOT NULL
        AND ($include_reads OR tool_effect IS DISTINCT FROM 'read')
)
SELECT
    recipient,
    arg_min(tool_name, ("time", seq)) AS tool_name,
    min("time") AS first_time,
    count(*) AS calls,
    count(*) FILTER (policy_effect = 'deny' OR outcome_status = 'denied') AS denied,
    list_sort(list_distinct(list(coalesce(identity_agent_id, identity_agent_name)))) AS agents,
    count(DISTINCT request_conversation_id) AS conversations,
    arg_min(seq, ("time", seq)) AS first_seq
FROM touched
WHERE "time" >= $baseline_until::TIMESTAMPTZ
    AND recipient NOT IN (SELECT recipient FROM touched WHERE "time" < $baseline_until::TIMESTAMPTZ)
GROUP BY recipient
ORDER BY first_time, first_seq
