-- title: What ran although the policy engine failed?
-- answers: Every action whose policy ended in an error and of which an outcome was seen: the gate failed open.
-- group: policy
-- standard: NIST SP 800-53 SC-24
-- param since: timestamp, default 1970-01-01T00:00:00Z. Only what happened from then on.
-- columns: time, agent, tool_name, tool_effect, resource_id, policy_engine, policy_reason, outcome_status, session_id, submitter, seq

SELECT
    "time", coalesce(identity_agent_id, identity_agent_name) AS agent, tool_name, tool_effect,
    coalesce(resource_id, resource_name, resource_destination) AS resource_id, policy_engine, policy_reason, outcome_status,
    session_id, submitter, seq
FROM actions
WHERE policy_effect = 'error' AND execution = 'observed' AND outcome_status IS DISTINCT FROM 'denied' AND "time" >= $since::TIMESTAMPTZ
ORDER BY "time", seq
