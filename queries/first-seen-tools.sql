-- title: Which agents used a tool that they had never used before?
-- answers: One row per agent and tool that first met after the baseline ended. A first time is not a wrong one.
-- group: anomaly
-- standard: OWASP ASI10
-- param baseline_until: timestamp, required. What happened before is taken for normal.
-- columns: agent, tool_name, tool_server, first_time, calls, denied, new_agent (the agent itself was not seen before), new_tool (nobody had used the tool), first_seq

WITH met AS (
    SELECT
        coalesce(identity_agent_id, identity_agent_name) AS agent, tool_name, arg_min(tool_server, ("time", seq)) AS tool_server,
        min("time") AS first_time, count(*) AS calls,
        count(*) FILTER (policy_effect = 'deny' OR outcome_status = 'denied' OR approval_outcome = 'rejected') AS denied,
        arg_min(seq, ("time", seq)) AS first_seq
    FROM actions
    WHERE tool_name IS NOT NULL AND coalesce(identity_agent_id, identity_agent_name) IS NOT NULL
    GROUP BY agent, tool_name
)
SELECT
    agent, tool_name, tool_server, first_time, calls, denied,
    agent_since >= $baseline_until::TIMESTAMPTZ AS new_agent, tool_since >= $baseline_until::TIMESTAMPTZ AS new_tool, first_seq
FROM (SELECT *, min(first_time) OVER (PARTITION BY agent) AS agent_since, min(first_time) OVER (PARTITION BY tool_name) AS tool_since FROM met)
WHERE first_time >= $baseline_until::TIMESTAMPTZ
ORDER BY first_time, first_seq
