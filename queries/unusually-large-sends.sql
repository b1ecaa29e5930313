-- title: Which messages carried far more than this agent's usual?
-- answers: Every action that sent at least so many times the median of the agent's sends by the same tool, counted in bytes out where records tell them, else in characters of the arguments.
-- group: exfiltration
-- standard: MITRE ATLAS AML.T0024
-- param factor: integer, default 10. From how many times the median on.
-- param at_least: integer, default 1000. And only from this many bytes or characters on.
-- columns: time, agent, tool_name, destination, carried (bytes or characters), median, sends (of this agent with this tool), session_id, submitter, seq

WITH sent AS (
    SELECT
        "time", coalesce(identity_agent_id, identity_agent_name) AS agent, tool_name,
        coalesce(resource_destination, resource_id, resource_name) AS destination, coalesce(outcome_bytes_out, length(tool_arguments)) AS carried,
        session_id, submitter, seq
    FROM actions
    WHERE tool_effect IN ('send', 'create', 'update', 'delegate') AND execution = 'observed' AND coalesce(outcome_bytes_out, length(tool_arguments)) IS NOT NULL
),
usual AS (
    SELECT submitter, agent, tool_name, median(carried) AS median, count(*) AS sends FROM sent GROUP BY submitter, agent, tool_name
)
SELECT "time", sent.agent, sent.tool_name, destination, carried, median, sends, session_id, sent.submitter, seq
FROM sent JOIN usual ON usual.submitter = sent.submitter AND usual.agent IS NOT DISTINCT FROM sent.agent
    AND usual.tool_name IS NOT DISTINCT FROM sent.tool_name
WHERE carried >= $factor * median AND carried >= $at_least
ORDER BY carried DESC, seq
