-- title: Where did the arguments that ran differ from those that were approved?
-- answers: Every approved action whose approval names a commitment of arguments that is not the one of the call: what was shown to the approver is not what was done.
-- group: approval
-- standard: OWASP ASI09
-- param since: timestamp, default 1970-01-01T00:00:00Z. Only what happened from then on.
-- columns: time, agent, tool_name, tool_effect, resource_id, approver, approver_commitment, approved_commitment, arguments_commitment, outcome_status, session_id, submitter, seq

SELECT
    "time", coalesce(identity_agent_id, identity_agent_name) AS agent, tool_name, tool_effect,
    coalesce(resource_id, resource_name, resource_destination) AS resource_id, approval_approver AS approver,
    approval_approver_commitment AS approver_commitment, approval_arguments_commitment AS approved_commitment,
    tool_arguments_commitment AS arguments_commitment, outcome_status, session_id, submitter, seq
FROM actions
WHERE approval_outcome = 'approved' AND approval_arguments_commitment <> tool_arguments_commitment AND "time" >= $since::TIMESTAMPTZ
ORDER BY "time", seq
