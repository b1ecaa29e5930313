-- title: What ran although a policy had asked for an approval that nobody gave?
-- answers: Every action for which policy required approval, of which an outcome was seen, and of which no record says that it was approved.
-- group: approval
-- standard: EU AI Act, Article 14
-- param since: timestamp, default 1970-01-01T00:00:00Z. Only what happened from then on.
-- columns: time, agent, tool_name, tool_effect, resource_id, policy_rule, approval_outcome (NULL: nobody was heard), outcome_status, session_id, submitter, seq

SELECT
    "time", coalesce(identity_agent_id, identity_agent_name) AS agent, tool_name, tool_effect,
    coalesce(resource_id, resource_name, resource_destination) AS resource_id, policy_rule, approval_outcome, outcome_status,
    session_id, submitter, seq
FROM actions
WHERE approval_outcome IS DISTINCT FROM 'approved' AND "time" >= $since::TIMESTAMPTZ
    AND (
        (policy_effect = 'require_approval' AND outcome_status IN ('success', 'failure', 'timeout', 'unknown'))
        OR (approval_outcome IN ('rejected', 'expired') AND outcome_status IN ('success', 'failure', 'timeout', 'unknown')))
ORDER BY "time", seq
