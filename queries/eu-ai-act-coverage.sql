-- title: What do these records hold of what Articles 12, 19 and 26 of the EU AI Act ask to be logged?
-- answers: One row per requirement: how many actions, or which span of time, the log covers of it. The Act demands logs, not that they be tamper-evident; what the log proves beyond that is not counted here. Whether a system is in scope, and whether this is enough, is for a lawyer.
-- group: report
-- standard: EU AI Act, Articles 12, 19 and 26
-- param since: timestamp, default 1970-01-01T00:00:00Z. Only what happened from then on.
-- columns: article, requires, evidence (what in the log answers it), covered, of, percent, note

WITH act AS (
    SELECT * FROM actions WHERE "time" >= $since::TIMESTAMPTZ
),
n AS (
    SELECT
        count(*) AS actions, count("time") AS timed, count(*) FILTER (execution = 'observed') AS observed,
        count(*) FILTER (policy_effect IS NOT NULL AND policy_effect <> 'not_evaluated') AS judged,
        count(*) FILTER (outcome_status IN ('failure', 'timeout', 'denied') OR policy_effect IN ('deny', 'error')) AS risky,
        count(*) FILTER ((outcome_status IN ('failure', 'timeout', 'denied') OR policy_effect IN ('deny', 'error'))
            AND coalesce(outcome_error_type, policy_rule, policy_reason, outcome_result_commitment) IS NOT NULL) AS explained,
        count(*) FILTER (coalesce(decision_request_model, decision_response_model) IS NOT NULL) AS decided,
        count(*) FILTER (request_text_commitment IS NOT NULL) AS with_input,
        count(*) FILTER (coalesce(identity_agent_id, identity_agent_name) IS NOT NULL) AS identified,
        count(*) FILTER (policy_effect = 'require_approval' OR approval_outcome IS NOT NULL) AS overseen,
        count(*) FILTER (approval_outcome IS NOT NULL AND approval_approver_commitment IS NOT NULL) AS by_a_person
    FROM act
),
kept AS (
    SELECT floor((epoch(max(recorded_at)) - epoch(min(recorded_at))) / 86400)::BIGINT AS days FROM records
),
gap AS (  -- numbers that a source counted, and of them those that arrived
    SELECT coalesce(sum(arrived), 0)::BIGINT AS arrived, coalesce(sum(counted), 0)::BIGINT AS counted
    FROM (
        SELECT count(DISTINCT source_seq) AS arrived, max(source_seq) - min(source_seq) + 1 AS counted
        FROM records WHERE source_seq IS NOT NULL GROUP BY submitter, source_id
    )
),
requirement AS (
    SELECT unnest([
        {'place': 1, 'article': '12(1)', 'requires': 'events are recorded automatically over the lifetime of the system',
            'evidence': 'numbers of the sources'' own counters that arrived', 'covered': arrived, 'of': counted,
            'note': 'sources that do not count are not in it: gaps-in-a-source, silent-sources'},
        {'place': 2, 'article': '12(1)', 'requires': 'events are recorded automatically over the lifetime of the system',
            'evidence': 'actions whose outcome was seen', 'covered': observed, 'of': actions, 'note': 'the rest: intents-without-outcomes'},
        {'place': 3, 'article': '12(2)(a)', 'requires': 'situations that may be a risk, or a substantial modification, can be found',
            'evidence': 'failed and denied actions that say why', 'covered': explained, 'of': risky,
            'note': 'modifications: policy-versions, tool-definitions-changed'},
        {'place': 4, 'article': '12(2)(b)', 'requires': 'the logs serve post-market monitoring', 'evidence': 'actions that name the model that decided',
            'covered': decided, 'of': actions, 'note': 'what-is-missing-by-agent'},
        {'place': 5, 'article': '12(2)(c)', 'requires': 'the operation can be monitored by the deployer', 'evidence': 'actions that name the agent',
            'covered': identified, 'of': actions, 'note': 'what-is-missing-by-agent'},
        {'place': 6, 'article': '19(1), 26(6)', 'requires': 'logs are kept for a period fit for the purpose, at least six months',
            'evidence': 'days between the oldest and the newest entry, of 183', 'covered': least(days, 183), 'of': 183,
            'note': 'a log that is younger is not in breach; what retention erased stays as an entry'},
        {'place': 7, 'article': '26(2)', 'requires': 'human oversight by competent persons', 'evidence': 'actions put to approval that name a person who decided',
            'covered': by_a_person, 'of': overseen, 'note': 'competence is not in a log: rubber-stamps, self-approved'},
        {'place': 8, 'article': '26(4)', 'requires': 'input data that the deployer controls is relevant', 'evidence': 'actions with the request they answer, or its commitment',
            'covered': with_input, 'of': actions, 'note': 'relevance is not in a log'},
        {'place': 9, 'article': '26(5)', 'requires': 'the operation is monitored', 'evidence': 'actions that a policy judged',
            'covered': judged, 'of': actions, 'note': 'consequences-without-policy'}
    ], recursive := TRUE)
    FROM n, kept, gap
)
SELECT article, requires, evidence, covered, "of", CASE WHEN "of" > 0 THEN round(100.0 * covered / "of", 1)::DOUBLE END AS percent, note
FROM requirement
ORDER BY place
