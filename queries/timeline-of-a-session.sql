-- title: What happened in this conversation, step by step?
-- answers: Every action of one conversation or trace, with how long after the one before it, what it read of external trust, and how much had been read of that before it.
-- group: who
-- standard: EU AI Act, Article 12
-- param session_id: text, required. The conversation's id, or the trace's where nothing names a conversation.
-- columns: time, seconds (since the action before), agent, tool_name, tool_effect, resource_id, outcome_status, policy_effect, trust, untrusted_before (how many results of external trust came earlier), submitter, seq

SELECT
    "time", epoch("time") - epoch(lag("time") OVER step) AS seconds, coalesce(identity_agent_id, identity_agent_name) AS agent,
    tool_name, tool_effect, coalesce(resource_id, resource_name, resource_destination) AS resource_id, outcome_status, policy_effect,
    resource_trust AS trust,
    count(*) FILTER (resource_trust IN ('external', 'external_content') AND outcome_result_commitment IS NOT NULL)
        OVER (PARTITION BY submitter ORDER BY "time", seq ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS untrusted_before,
    submitter, seq
FROM actions
WHERE session_id = $session_id
WINDOW step AS (PARTITION BY submitter ORDER BY "time", seq)
ORDER BY "time", seq
