-- title: Who did what to this resource, at whose request, and under which authority?
-- answers: Every action on the resource, reads too, in order of time. What was tried and denied is among it; see policy_effect and outcome_status.
-- group: who
-- standard: EU AI Act, Article 12
-- param resource_id: text, required. The resource's id or its name, exactly.
-- param since: timestamp, default 1970-01-01T00:00:00Z. Only what happened from then on.
-- columns: time, tool_name, tool_effect, outcome_status, policy_effect, agent, principal (the person acted for), requested_by, request_text, conversation_id, seq

SELECT
    "time", tool_name, tool_effect, outcome_status, policy_effect,
    coalesce(identity_agent_id, identity_agent_name) AS agent,
    identity_principal AS principal,
    request_user AS requested_by,
    request_text,
    request_conversation_id AS conversation_id,
    seq
FROM actions
WHERE (resource_id = $resource_id OR resource_name = $resource_id OR resource_destination = $resource_id)
    AND "time" >= $since::TIMESTAMPTZ
ORDER BY "time", seq
