-- title: What did all agents do around this moment?
-- answers: Every action of every agent some minutes before and after a time, with how far from it: what else was going on.
-- group: who
-- standard: NIST SP 800-53 AU-6
-- param at: timestamp, required. The moment.
-- param minutes: integer, default 5. How far before and after.
-- columns: time, seconds (after the moment; before it: negative), agent, tool_name, tool_effect, resource_id, outcome_status, policy_effect, session_id, submitter, seq

SELECT
    "time", epoch("time") - epoch($at::TIMESTAMPTZ) AS seconds, coalesce(identity_agent_id, identity_agent_name) AS agent,
    tool_name, tool_effect, coalesce(resource_id, resource_name, resource_destination) AS resource_id, outcome_status, policy_effect,
    session_id, submitter, seq
FROM actions
WHERE "time" BETWEEN $at::TIMESTAMPTZ - to_minutes($minutes::BIGINT) AND $at::TIMESTAMPTZ + to_minutes($minutes::BIGINT)
ORDER BY "time", seq
