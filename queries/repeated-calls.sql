-- title: Which agents called the same tool with the same arguments again and again?
-- answers: One row per call that was made at least so many times in one session: a loop, a retry storm or a poll. Arguments are compared byte for byte.
-- group: anomaly
-- standard: OWASP LLM10
-- param times: integer, default 3. From how many calls on.
-- columns: session_id, agent, tool_name, tool_arguments, calls, failures, first_time, last_time, seqs (the actions)

SELECT
    session_id,
    coalesce(identity_agent_id, identity_agent_name) AS agent,
    tool_name,
    tool_arguments,
    count(*) AS calls,
    count(*) FILTER (outcome_status IN ('failure', 'timeout')) AS failures,
    min("time") AS first_time,
    max("time") AS last_time,
    list(seq ORDER BY "time", seq) AS seqs
FROM actions
WHERE tool_name IS NOT NULL AND tool_arguments IS NOT NULL
    AND session_id IS NOT NULL
GROUP BY submitter, session_id, agent, tool_name, tool_arguments
HAVING count(*) >= $times
ORDER BY calls DESC, first_time
