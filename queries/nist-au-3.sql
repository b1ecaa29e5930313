-- title: How much of what NIST AU-3 wants of an audit record do these records say?
-- answers: One row per element of the control (what, when, where, source, outcome, identity) and what of it the records tell: in how many actions, of how many. A record may tell it and be wrong.
-- group: report
-- standard: NIST SP 800-53 Rev. 5 AU-3
-- param since: timestamp, default 1970-01-01T00:00:00Z. Only what happened from then on.
-- columns: element, wants, told_by (the members that tell it), covered, of, percent, first_missing_seq

WITH act AS (
    SELECT
        seq, tool_name IS NOT NULL AND tool_effect IS NOT NULL AS a, "time" IS NOT NULL AS b,
        coalesce(tool_server, resource_id, resource_name, resource_destination, absent->>'resource') IS NOT NULL AS c,
        source_id IS NOT NULL AS d, outcome_status IS NOT NULL OR policy_effect IN ('deny', 'require_approval') AS e,
        coalesce(identity_agent_id, identity_agent_name, identity_workload, identity_client_id) IS NOT NULL AS f_agent,
        coalesce(identity_principal_commitment, request_user_commitment, absent->>'request') IS NOT NULL AS f_person
    FROM actions
    WHERE "time" >= $since::TIMESTAMPTZ
),
element AS (
    SELECT count(*) AS actions, unnest([
        {'element': 'a', 'wants': 'what type of event occurred', 'told_by': 'tool.name, tool.effect',
            'covered': count(*) FILTER (a), 'missing': min(seq) FILTER (NOT a)},
        {'element': 'b', 'wants': 'when it occurred', 'told_by': 'time; recorded_at beside it',
            'covered': count(*) FILTER (b), 'missing': min(seq) FILTER (NOT b)},
        {'element': 'c', 'wants': 'where it occurred', 'told_by': 'tool.server, resource, or why there is none',
            'covered': count(*) FILTER (c), 'missing': min(seq) FILTER (NOT c)},
        {'element': 'd', 'wants': 'its source', 'told_by': 'source.id; the submitter is always there',
            'covered': count(*) FILTER (d), 'missing': min(seq) FILTER (NOT d)},
        {'element': 'e', 'wants': 'its outcome', 'told_by': 'outcome.status, or a denial',
            'covered': count(*) FILTER (e), 'missing': min(seq) FILTER (NOT coalesce(e, FALSE))},
        {'element': 'f', 'wants': 'the identity of subjects', 'told_by': 'identity.agent, workload or client',
            'covered': count(*) FILTER (f_agent), 'missing': min(seq) FILTER (NOT f_agent)},
        {'element': 'f', 'wants': 'the identity of individuals', 'told_by': 'identity.principal, request.user, or why there is none',
            'covered': count(*) FILTER (f_person), 'missing': min(seq) FILTER (NOT f_person)}
    ], recursive := TRUE)
    FROM act
)
SELECT
    element, wants, told_by, covered, actions AS of, CASE WHEN actions > 0 THEN round(100.0 * covered / actions, 1)::DOUBLE END AS percent,
    missing AS first_missing_seq
FROM element
ORDER BY element, wants DESC
