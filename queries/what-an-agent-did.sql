-- title: What did this agent do, in order?
-- answers: Every action of the agent, tried and denied ones too. Calls that other agents made for it are in blast-radius-of-an-agent.
-- group: who
-- standard: EU AI Act, Article 12
-- param agent: text, required. Its id or its name, exactly.
-- param since: timestamp, default 1970-01-01T00:00:00Z. Only what happened from then on.
-- param until: timestamp, default 9999-12-31T00:00:00Z. Only what happened before.
-- columns: time, session_id, tool_name, tool_effect, resource_id, outcome_status, policy_effect, principal, principal_commitment, submitter, seq

SELECT
    "time", session_id, tool_name, tool_effect,
    coalesce(resource_id, resource_name, resource_destination) AS resource_id, outcome_status, policy_effect,
    identity_principal AS principal, identity_principal_commitment AS principal_commitment, submitter, seq
FROM actions
WHERE (identity_agent_id = $agent OR identity_agent_name = $agent)
    AND "time" >= $since::TIMESTAMPTZ AND "time" < $until::TIMESTAMPTZ
ORDER BY "time", seq
