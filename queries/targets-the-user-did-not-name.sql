-- title: Whom did agents pay, write to, delete or share with whom the user had not named?
-- answers: Every payment, message, deletion and delegation whose recipient or resource is not in the user's words; `told_by` is the first earlier result of the conversation that holds it. A user may well mean whom they do not name.
-- group: injection
-- standard: OWASP ASI01
-- param since: timestamp, default 1970-01-01T00:00:00Z. Only what happened from then on.
-- param external_only: boolean, default false. Only where the text was first told by a result of external trust.
-- columns: time, agent, tool_name, tool_effect, target, outcome_status, told_by (tool), told_trust, told_seq, session_id, submitter, seq

WITH step AS (
    SELECT
        submitter, session_id, "time", seq, tool_name, tool_effect, resource_trust, outcome_status,
        coalesce(identity_agent_id, identity_agent_name) AS agent, coalesce(resource_destination, resource_id, resource_name) AS target,
        request_text, outcome_result
    FROM actions
    WHERE session_id IS NOT NULL
),
aimed AS (
    SELECT * EXCLUDE (outcome_result) FROM step
    WHERE tool_effect IN ('pay', 'send', 'delete', 'delegate') AND length(target) >= 3 AND request_text IS NOT NULL
        AND NOT contains(lower(request_text), lower(target)) AND "time" >= $since::TIMESTAMPTZ
),
-- Each result is searched once for each thing that was aimed at in its conversation.
aim AS (SELECT submitter, session_id, target, max(("time", seq)) AS last FROM aimed GROUP BY submitter, session_id, target),
told AS (
    SELECT aim.submitter, aim.session_id, aim.target, arg_min({'tool': tool_name, 'trust': resource_trust, 'seq': seq, 'place': ("time", seq)}, ("time", seq)) AS first
    FROM aim JOIN step ON step.submitter = aim.submitter AND step.session_id = aim.session_id
    WHERE ("time", seq) < last AND contains(outcome_result, aim.target)
    GROUP BY aim.submitter, aim.session_id, aim.target
)
SELECT
    "time", agent, tool_name, tool_effect, aimed.target, outcome_status,
    told.tool AS told_by, told.trust AS told_trust, told.seq AS told_seq, aimed.session_id, aimed.submitter, aimed.seq
FROM (
    SELECT aimed.*, CASE WHEN first.place < ("time", aimed.seq) THEN first END AS told
    FROM aimed LEFT JOIN told ON told.submitter = aimed.submitter AND told.session_id = aimed.session_id AND told.target = aimed.target
) aimed
WHERE NOT $external_only OR told.trust IN ('external', 'external_content')
ORDER BY "time", aimed.seq
