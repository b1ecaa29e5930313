-- title: What was denied, and what did the agent try next?
-- answers: Every action that a record says was denied or rejected, with the same agent's next action in the same conversation. A call that merely was not executed is not among it.
-- group: policy
-- standard: NIST SP 800-53 AU-6
-- param since: timestamp, default 1970-01-01T00:00:00Z. Only denials from then on.
-- param minutes: integer, default 30. How long after the denial still counts as next.
-- columns: time, agent, tool_name, resource_id, policy_rule, policy_reason, next_time, next_tool_name, next_resource_id, next_outcome_status, same_resource (the next try was at the same resource), seq, next_seq

WITH step AS (
    SELECT
        *, coalesce(identity_agent_id, identity_agent_name) AS agent,
        lead({
            'time': "time", 'tool_name': tool_name, 'resource_id': coalesce(resource_id, resource_destination),
            'outcome_status': outcome_status, 'seq': seq
        }) OVER (
            PARTITION BY submitter, coalesce(session_id, id), coalesce(identity_agent_id, identity_agent_name)
            ORDER BY "time", seq
        ) AS next
    FROM actions
)
SELECT
    "time", agent, tool_name, coalesce(resource_id, resource_destination) AS resource_id, policy_rule, policy_reason,
    then_.time AS next_time, then_.tool_name AS next_tool_name, then_.resource_id AS next_resource_id,
    then_.outcome_status AS next_outcome_status,
    then_.resource_id = coalesce(step.resource_id, resource_destination) AS same_resource,
    seq, then_.seq AS next_seq
FROM (SELECT *, CASE WHEN next.time <= "time" + to_minutes($minutes::BIGINT) THEN next END AS then_ FROM step) step
WHERE (policy_effect = 'deny' OR outcome_status = 'denied' OR approval_outcome = 'rejected')
    AND "time" >= $since::TIMESTAMPTZ
ORDER BY "time", seq
