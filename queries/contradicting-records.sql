-- title: Where do records of one action contradict each other?
-- answers: Every action whose own records disagree, and on which members: a failure behind a success, an execution behind a denial, another person than a server checked, other arguments.
-- group: integrity
-- standard: NIST SP 800-53 AU-10
-- param since: timestamp, default 1970-01-01T00:00:00Z. Only what happened from then on.
-- columns: time, agent, tool_name, resource_id, conflicts (the members on which they disagree), stages, outcome_status, submitters, session_id, first_seq, last_seq, seq

SELECT
    "time", coalesce(identity_agent_id, identity_agent_name) AS agent, tool_name,
    coalesce(resource_id, resource_name, resource_destination) AS resource_id, conflicts, stages, outcome_status, submitters,
    session_id, first_seq, last_seq, seq
FROM actions
WHERE len(conflicts) > 0 AND "time" >= $since::TIMESTAMPTZ
ORDER BY "time", seq
