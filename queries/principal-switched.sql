-- title: Where did an agent act for another person than before, or than the one who asked?
-- answers: Every action whose principal is not that of the conversation's action before it, or not the user who asked. Persons are compared by id, where it is known, else by commitment.
-- group: approval
-- standard: OWASP ASI03
-- param since: timestamp, default 1970-01-01T00:00:00Z. Only what happened from then on.
-- columns: time, agent, tool_name, tool_effect, resource_id, principal, principal_commitment, before, before_commitment (the principal of the action before), requested_by, requested_by_commitment, how (before, asked, or both), session_id, submitter, seq

WITH act AS (
    SELECT
        "time", coalesce(identity_agent_id, identity_agent_name) AS agent, tool_name, tool_effect,
        coalesce(resource_id, resource_name, resource_destination) AS resource_id, identity_principal AS principal,
        identity_principal_commitment AS principal_commitment, lag(identity_principal) OVER step AS before,
        lag(identity_principal_commitment) OVER step AS before_commitment, request_user AS requested_by,
        request_user_commitment AS requested_by_commitment, session_id, submitter, seq
    FROM actions
    WHERE identity_principal_commitment IS NOT NULL
    WINDOW step AS (
        PARTITION BY submitter, coalesce(session_id, id), coalesce(identity_agent_id, identity_agent_name)
        ORDER BY "time", seq)
),
judged AS (
    SELECT
        *, coalesce(principal <> before, principal_commitment <> before_commitment, FALSE) AS switched,
        coalesce(principal <> requested_by, principal_commitment <> requested_by_commitment, FALSE) AS other
    FROM act
)
SELECT
    "time", agent, tool_name, tool_effect, resource_id, principal, principal_commitment, before, before_commitment, requested_by,
    requested_by_commitment, CASE WHEN switched AND other THEN 'both' WHEN switched THEN 'before' ELSE 'asked' END AS how, session_id, submitter, seq
FROM judged
WHERE (switched OR other) AND "time" >= $since::TIMESTAMPTZ
ORDER BY "time", seq
