-- The join, 5 of 6: the actions, and which facets their own records have.

-- Every record of its own action, and by which rule it came there. `far`: it is the other side's.
CREATE OR REPLACE TABLE live.own AS
WITH
record AS (
    SELECT n, unit, rule FROM live.stage
    UNION ALL SELECT n, unit, rule FROM live.asked
    UNION ALL SELECT n, unit, rule FROM live.echo
    UNION ALL SELECT n, unit, rule FROM live.ran
    UNION ALL SELECT n, min(n) OVER (PARTITION BY submitter, coalesce(conversation_id, trace_id), coalesce(call_id, made_id)), 'call_id' FROM live.call WHERE role = 'result'
    UNION ALL SELECT n, min(n) OVER (PARTITION BY submitter, made_id), 'name' FROM live.call WHERE role = 'policy'
),
whole AS (SELECT server AS root, min(client) AS client FROM live.both_sides WHERE server IS NOT NULL GROUP BY server HAVING count(DISTINCT client) = 1)
SELECT record.n, coalesce(whole.client, root.root, record.unit) AS action, whole.client IS NOT NULL AS far,
    CASE WHEN whole.client IS NOT NULL THEN 'both_sides' WHEN record.rule = 'mcp' THEN 'mcp' ELSE coalesce(root.rule, record.rule) END AS rule
FROM record LEFT JOIN live.root USING (unit) LEFT JOIN whole ON whole.root = root.root;

-- Its own records in their order, after them what only tells again of it, and the far side's last. The first of all is 'record', whatever brought it to the rest.
-- Who is believed about an outcome: an SDK's hook saw what happened, a span only that something ran, an MCP client only that it was answered.
CREATE OR REPLACE TABLE live.ruled AS
WITH placed AS (
    SELECT own.action, own.rule, own.far, fact.* EXCLUDE (action_id, name, span_id, instance, response_id, part, lib, output), fact.n + CASE WHEN far THEN 1::BIGINT << 40 WHEN role = 'echo' THEN 1::BIGINT << 39 ELSE 0 END AS place,
        CASE WHEN role = 'mcp' AND outcome_status = 'unknown' THEN 7 WHEN far THEN 6 WHEN role = 'echo' THEN 5 WHEN role = 'mcp' AND side = 'client' THEN 4
            ELSE list_position(['sdk', 'ran', 'result', 'mcp'], role) - 1 END AS standing
    FROM live.own JOIN live.fact USING (n)
)
SELECT * EXCLUDE (rule), CASE WHEN place = min(place) OVER (PARTITION BY action) THEN 'record' ELSE rule END AS rule FROM placed;

CREATE OR REPLACE TABLE live.action AS
SELECT
    action, arg_min(seq, place) AS first_seq, arg_max(seq, place) AS last_seq, count(*) AS records,
    list("type" ORDER BY place) AS stages, max("time") AS ended, bool_or(made_id IS NOT NULL) AS made,
    arg_min(rule, place) FILTER (request) AS request, arg_min(rule, place) FILTER (decision) AS decision,
    arg_min(rule, place) FILTER (tool) AS tool, arg_min(rule, place) FILTER (agent) AS agent,
    arg_min(rule, place) FILTER (principal) AS principal, arg_min(rule, place) FILTER (resource) AS resource,
    arg_max(rule, (NOT far, n)) FILTER (policy) AS policy, arg_max(seq, (NOT far, n)) FILTER (policy) AS at_policy,
    arg_max(rule, (NOT far, n)) FILTER (approval) AS approval, arg_max(seq, (NOT far, n)) FILTER (approval) AS at_approval,
    arg_min(rule, (outcome_status IS NULL, standing, -n)) FILTER (outcome) AS outcome,
    arg_min(seq, (outcome_status IS NULL, standing, -n)) FILTER (outcome) AS at_outcome,
    arg_min(outcome_status, (standing, -n)) FILTER (outcome_status IS NOT NULL) AS outcome_status,
    bool_or(no_request) AS no_request, bool_or(no_decision) AS no_decision, bool_or(no_tool) AS no_tool,
    bool_or(no_identity) AS no_identity, bool_or(no_resource) AS no_resource,
    bool_or(whole AND outcome_status IS NULL AND coalesce(policy_effect, 'allow') IN ('allow', 'not_evaluated')) AS told_whole,
    list_sort([any_value(submitter) FILTER (NOT far)] || coalesce(list(DISTINCT submitter) FILTER (far), [])) AS submitters,
    coalesce(bool_or(outcome_status IN ('failure', 'denied')), FALSE) AS failed, coalesce(bool_or(outcome_status = 'success' AND standing < 3), FALSE) AS done,
    count(made_id) > count(DISTINCT made_id) AS contradicted
FROM live.ruled
GROUP BY action;
