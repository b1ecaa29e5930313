-- title: What did a policy deny that ran all the same?
-- answers: One row per action that policy denied, or a person rejected, and of which an outcome was seen: the policy only watched (mode monitor), or was passed by.
-- group: policy
-- standard: OWASP ASI02
-- param since: timestamp, default 1970-01-01T00:00:00Z. Only what happened from then on.
-- columns: time, agent, tool_name, tool_effect, resource_id, policy_mode, policy_rule, denied_by, session_id, submitter, seq

SELECT "time", agent, tool_name, tool_effect, resource_id, policy_mode, policy_rule, denied_by, session_id, submitter, seq
FROM denials
WHERE executed AND "time" >= $since::TIMESTAMPTZ
ORDER BY "time", seq
