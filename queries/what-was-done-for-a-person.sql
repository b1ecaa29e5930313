-- title: What was done at this person's request, or in their name?
-- answers: Every action that the person asked for, or that was done for them as principal; which of both says `as`. Persons who were forgotten are found by their commitment alone.
-- group: who
-- standard: NIST SP 800-53 AU-3
-- param person: text, required. Who: the id as it was recorded, or a commitment.
-- param since: timestamp, default 1970-01-01T00:00:00Z. Only what happened from then on.
-- columns: time, agent, tool_name, tool_effect, resource_id, outcome_status, policy_effect, as (requested, principal, or both), session_id, submitter, seq

WITH done AS (
    SELECT
        *, coalesce(request_user = $person OR request_user_commitment = $person, FALSE) AS asked,
        coalesce(identity_principal = $person OR identity_principal_commitment = $person, FALSE) AS acted_for
    FROM actions
)
SELECT
    "time", coalesce(identity_agent_id, identity_agent_name) AS agent, tool_name, tool_effect,
    coalesce(resource_id, resource_name, resource_destination) AS resource_id, outcome_status, policy_effect,
    CASE WHEN asked AND acted_for THEN 'both' WHEN asked THEN 'requested' ELSE 'principal' END AS as,
    session_id, submitter, seq
FROM done
WHERE (asked OR acted_for) AND "time" >= $since::TIMESTAMPTZ
ORDER BY "time", seq
