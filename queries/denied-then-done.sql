-- title: What was denied, and then done another way?
-- answers: One row per denied action of which the same was seen done later: how (repeated, with other arguments, by another tool) and where (in the session, by the agent elsewhere, for the person by another agent). It may have been allowed by then.
-- group: policy
-- standard: OWASP ASI02
-- param since: timestamp, default 1970-01-01T00:00:00Z. Only denials from then on.
-- columns: time, agent, tool_name, resource_id, denied_by, policy_rule, done_time, seconds (from the denial until it was done), done_agent, done_tool, done_how, done_where, session_id, seq, done_seq

SELECT
    "time", agent, tool_name, resource_id, denied_by, policy_rule, done_time, epoch(done_time) - epoch("time") AS seconds,
    done_agent, done_tool, done_how, done_where, session_id, seq, done_seq
FROM denials
WHERE done_seq IS NOT NULL AND "time" >= $since::TIMESTAMPTZ
ORDER BY "time", seq
