-- title: When did an agent do far more than usual?
-- answers: One row per agent and hour with at least so many times the actions of the agent's median hour; hours in which it did nothing are not counted for the median.
-- group: anomaly
-- standard: OWASP ASI08
-- param factor: integer, default 5. From how many times the median hour on.
-- param at_least: integer, default 20. And only from this many actions in the hour on.
-- columns: agent, hour, actions, median, denied, failed, tools, resources, first_seq

WITH hourly AS (
    SELECT
        coalesce(identity_agent_id, identity_agent_name) AS agent, date_trunc('hour', "time") AS hour, count(*) AS actions,
        count(*) FILTER (policy_effect = 'deny' OR outcome_status = 'denied' OR approval_outcome = 'rejected') AS denied,
        count(*) FILTER (outcome_status IN ('failure', 'timeout')) AS failed, list_sort(list(DISTINCT tool_name)) AS tools,
        count(DISTINCT coalesce(resource_id, resource_name, resource_destination)) AS resources, min(seq) AS first_seq
    FROM actions
    GROUP BY agent, hour
)
SELECT agent, hour, actions, median, denied, failed, tools, resources, first_seq
FROM (SELECT *, median(actions) OVER (PARTITION BY agent) AS median FROM hourly)
WHERE actions >= $factor * median AND actions >= $at_least
ORDER BY actions / median DESC, hour, agent
