-- title: What in this log points at each of the OWASP top ten risks of agentic applications?
-- answers: One row per risk, ASI01 to ASI10, with one indicator each: how many actions show it, how many there were that could have, and where to begin. An indicator is a lead: none found is no proof of safety.
-- group: report
-- standard: OWASP Top 10 for Agentic Applications 2026
-- param since: timestamp, default 1970-01-01T00:00:00Z. Only what happened from then on.
-- columns: risk, name, indicator, found, of (what could have shown it), first_seq, ask_next (the named question that goes on from here)

WITH act AS (
    SELECT
        *, coalesce(resource_trust IN ('external', 'external_content') AND outcome_result_commitment IS NOT NULL, FALSE) AS untrusted,
        coalesce(tool_effect IN ('pay', 'send', 'delete', 'delegate'), FALSE) AS consequence,
        execution = 'observed' AND outcome_status IS DISTINCT FROM 'denied' AS done,
        coalesce(resource_destination, resource_id, resource_name) AS target, json_extract_string(identity_actors, '$[*].sub') AS chain,
        session_id
    FROM actions
    WHERE "time" >= $since::TIMESTAMPTZ
),
placed AS (
    SELECT
        *, coalesce(bool_or(untrusted) OVER before, FALSE) AND session_id IS NOT NULL AS exposed,
        count(*) FILTER (outcome_status IN ('failure', 'timeout')) OVER (PARTITION BY submitter, coalesce(session_id, id)) AS failures,
        min("time") OVER (PARTITION BY coalesce(identity_agent_id, identity_agent_name), tool_name) AS first_met,
        min("time") OVER (PARTITION BY coalesce(identity_agent_id, identity_agent_name)) AS first_acted
    FROM act
    WINDOW before AS (PARTITION BY submitter, session_id ORDER BY "time", seq ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
),
judged AS (
    SELECT
        seq, done AND consequence AND exposed AND request_text IS NOT NULL AND NOT coalesce(contains(lower(request_text), lower(target)), TRUE) AS asi01,
        done AND consequence AS of01,
        done AND consequence AND (coalesce(policy_effect, 'not_evaluated') IN ('not_evaluated', 'error', 'deny')
            OR (policy_effect = 'require_approval' AND approval_outcome IS DISTINCT FROM 'approved')) AS asi02, done AND consequence AS of02,
        coalesce(identity_principal_commitment <> request_user_commitment AND coalesce(identity_principal <> request_user, TRUE), FALSE) AS asi03,
        identity_principal_commitment IS NOT NULL AND request_user_commitment IS NOT NULL AS of03,
        (coalesce(tool_server, ''), tool_name) IN (SELECT (coalesce(tool_server, ''), tool_name) FROM tools WHERE changed) AS asi04, tool_definition_digest IS NOT NULL AS of04,
        done AND coalesce(tool_effect = 'execute', FALSE) AND exposed AS asi05, coalesce(tool_effect = 'execute', FALSE) AS of05,
        done AND exposed AND coalesce(tool_effect IN ('create', 'update'), FALSE)
            AND regexp_matches(concat_ws(' ', tool_name, resource_type), '(?i)memor|context|embedding|vector|knowledge|note') AS asi06,
        coalesce(tool_effect IN ('create', 'update'), FALSE) AS of06,
        coalesce(tool_effect = 'delegate' OR tool_protocol = 'a2a', FALSE) AND identity_credential IS NULL AND len(submitters) < 2 AS asi07,
        coalesce(tool_effect = 'delegate' OR tool_protocol = 'a2a', FALSE) AS of07,
        failures >= 3 AND coalesce(outcome_status IN ('failure', 'timeout'), FALSE) AS asi08, coalesce(outcome_status IN ('failure', 'timeout'), FALSE) AS of08,
        coalesce(approval_outcome = 'approved' AND (approval_shown_commitment IS NULL
            OR coalesce(approval_arguments_commitment <> tool_arguments_commitment, FALSE)), FALSE) AS asi09,
        coalesce(approval_outcome = 'approved', FALSE) AS of09,
        tool_name IS NOT NULL AND "time" = first_met AND first_met > first_acted + INTERVAL 1 DAY AND consequence AS asi10, consequence AS of10
    FROM placed
),
risk(risk, name, indicator, ask_next) AS (
    VALUES
    ('ASI01', 'Agent goal hijack', 'consequences after untrusted content, aimed at what the user had not named', 'targets-the-user-did-not-name'),
    ('ASI02', 'Tool misuse and exploitation', 'consequences that no policy allowed', 'consequences-without-policy'),
    ('ASI03', 'Identity and privilege abuse', 'actions for another person than the one who asked', 'principal-switched'),
    ('ASI04', 'Agentic supply chain vulnerabilities', 'calls of tools whose definition changed', 'tool-definitions-changed'),
    ('ASI05', 'Unexpected code execution', 'code executed after untrusted content', 'first-action-after-exposure'),
    ('ASI06', 'Memory and context poisoning', 'memory or notes written after untrusted content', 'untrusted-content-before-a-consequence'),
    ('ASI07', 'Insecure inter-agent communication', 'delegations without a credential, and told by one side alone', 'delegation-chains'),
    ('ASI08', 'Cascading failures', 'failures in conversations with three and more', 'failures-by-tool'),
    ('ASI09', 'Human-agent trust exploitation', 'approvals that do not say what was shown, or were for other arguments', 'approved-something-else'),
    ('ASI10', 'Rogue agents', 'consequences by a tool that the agent first used more than a day after it was first seen', 'first-seen-tools')
),
counted AS (
    SELECT unnest([
        {'risk': 'ASI01', 'found': count(*) FILTER (asi01), 'of': count(*) FILTER (of01), 'first_seq': min(seq) FILTER (asi01)},
        {'risk': 'ASI02', 'found': count(*) FILTER (asi02), 'of': count(*) FILTER (of02), 'first_seq': min(seq) FILTER (asi02)},
        {'risk': 'ASI03', 'found': count(*) FILTER (asi03), 'of': count(*) FILTER (of03), 'first_seq': min(seq) FILTER (asi03)},
        {'risk': 'ASI04', 'found': count(*) FILTER (asi04), 'of': count(*) FILTER (of04), 'first_seq': min(seq) FILTER (asi04)},
        {'risk': 'ASI05', 'found': count(*) FILTER (asi05), 'of': count(*) FILTER (of05), 'first_seq': min(seq) FILTER (asi05)},
        {'risk': 'ASI06', 'found': count(*) FILTER (asi06), 'of': count(*) FILTER (of06), 'first_seq': min(seq) FILTER (asi06)},
        {'risk': 'ASI07', 'found': count(*) FILTER (asi07), 'of': count(*) FILTER (of07), 'first_seq': min(seq) FILTER (asi07)},
        {'risk': 'ASI08', 'found': count(*) FILTER (asi08), 'of': count(*) FILTER (of08), 'first_seq': min(seq) FILTER (asi08)},
        {'risk': 'ASI09', 'found': count(*) FILTER (asi09), 'of': count(*) FILTER (of09), 'first_seq': min(seq) FILTER (asi09)},
        {'risk': 'ASI10', 'found': count(*) FILTER (asi10), 'of': count(*) FILTER (of10), 'first_seq': min(seq) FILTER (asi10)}
    ], recursive := TRUE)
    FROM judged
)
SELECT risk, name, indicator, found, "of", first_seq, ask_next
FROM risk JOIN counted USING (risk)
ORDER BY risk
