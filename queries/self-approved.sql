-- title: Who approved what was done for themselves?
-- answers: Every approved action whose approver is the person it was done for, the user who asked, or the agent itself: four eyes were two. Persons are compared by id, where it is known, else by commitment.
-- group: approval
-- standard: NIST SP 800-53 AC-5
-- param since: timestamp, default 1970-01-01T00:00:00Z. Only what happened from then on.
-- columns: time, approver, approver_commitment, as (principal, user, or agent), agent, tool_name, tool_effect, resource_id, policy_rule, outcome_status, session_id, submitter, seq

WITH approved AS (
    SELECT
        *, CASE
            WHEN coalesce(approval_approver = identity_principal, approval_approver_commitment = identity_principal_commitment, FALSE) THEN 'principal'
            WHEN coalesce(approval_approver = request_user, approval_approver_commitment = request_user_commitment, FALSE) THEN 'user'
            WHEN approval_approver IN (identity_agent_id, identity_agent_name) THEN 'agent' END AS self
    FROM actions
    WHERE approval_outcome = 'approved' AND approval_approver_commitment IS NOT NULL AND "time" >= $since::TIMESTAMPTZ
)
SELECT
    "time", approval_approver AS approver, approval_approver_commitment AS approver_commitment, self AS as,
    coalesce(identity_agent_id, identity_agent_name) AS agent, tool_name, tool_effect,
    coalesce(resource_id, resource_name, resource_destination) AS resource_id, policy_rule, outcome_status,
    session_id, submitter, seq
FROM approved
WHERE self IS NOT NULL
ORDER BY "time", seq
