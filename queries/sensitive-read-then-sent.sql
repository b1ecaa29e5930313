-- title: Where was something sent after confidential data was read in the same conversation?
-- answers: One row per message, payment or delegation, with the latest read of confidential or restricted data before it in the conversation. That it was read first does not show that it was sent.
-- group: exfiltration
-- standard: MITRE ATLAS AML.T0024
-- param since: timestamp, default 1970-01-01T00:00:00Z. Only what was sent from then on.
-- param internal: text, default none. Ends of destinations that are one's own, as @example.com: those are left out.
-- columns: time, agent, tool_name, tool_effect, destination, outcome_status, read_resource, read_classification, read_time, policy_effect, session_id, read_seq, seq

WITH step AS (
    SELECT
        "time", seq, submitter, session_id, coalesce(identity_agent_id, identity_agent_name) AS agent,
        tool_name, tool_effect, coalesce(resource_destination, resource_id, resource_name) AS destination, outcome_status, policy_effect,
        CASE WHEN resource_classification IN ('confidential', 'restricted') AND coalesce(tool_effect, 'read') = 'read' AND execution = 'observed'
            AND coalesce(outcome_status, 'success') = 'success'
            THEN {'seq': seq, 'time': "time", 'resource': coalesce(resource_id, resource_name), 'class': resource_classification} END AS sensitive
    FROM actions
    WHERE session_id IS NOT NULL
        AND (tool_effect IN ('send', 'pay', 'delegate') OR resource_classification IN ('confidential', 'restricted'))
),
seen AS (
    SELECT *, last_value(sensitive IGNORE NULLS) OVER (
        PARTITION BY submitter, session_id ORDER BY "time", seq ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS last_read
    FROM step
)
SELECT
    "time", agent, tool_name, tool_effect, destination, outcome_status, last_read.resource AS read_resource, last_read.class AS read_classification,
    last_read."time" AS read_time, policy_effect, session_id, last_read.seq AS read_seq, seq
FROM seen
WHERE tool_effect IN ('send', 'pay', 'delegate') AND last_read IS NOT NULL AND "time" >= $since::TIMESTAMPTZ
    AND ($internal::VARCHAR IS NULL OR NOT coalesce(ends_with(destination, $internal), FALSE))
ORDER BY "time", seq
