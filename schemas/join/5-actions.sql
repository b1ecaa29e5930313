-- The join, 5 of 8: the actions, and which facets their own records have.

-- Every record of its own action's unit, and what that unit follows.
CREATE OR REPLACE TABLE live.member AS
WITH record AS (
    SELECT n, unit, rule FROM live.stage
    UNION ALL SELECT n, unit, rule FROM live.asked
    UNION ALL SELECT n, unit, rule FROM live.echo
    UNION ALL SELECT n, unit, rule FROM live.ran
    UNION ALL SELECT n, min(n) OVER (PARTITION BY submitter, coalesce(conversation_id, trace_id), coalesce(call_id, made_id)), 'call_id' FROM live.call WHERE role = 'result'
    UNION ALL SELECT n, min(n) OVER (PARTITION BY submitter, made_id), 'name' FROM live.call WHERE role = 'policy'
)
SELECT record.n, coalesce(root.root, record.unit) AS action, CASE WHEN record.rule = 'mcp' THEN 'mcp' ELSE coalesce(root.rule, record.rule) END AS rule
FROM record LEFT JOIN live.root USING (unit);

-- The one join across submitters: a call that one saw leave and another saw arrive, by MCP or A2A. The server's record names the client's span
-- as the one above it, and the tool is the same. Where two say that they are the same end of one span, neither is believed, and the client's
-- row says so. Within one submitter (`near`) a gateway's or server's record goes with whatever call of that tool is in the span above.
CREATE OR REPLACE TABLE live.both_sides AS
WITH
wire AS (
    SELECT fact.*, action, role = 'sdk' OR side = 'client' AS leaves, role = 'sdk' OR side = 'server' AS arrives
    FROM live.fact JOIN live.member USING (n)
    WHERE trace_id IS NOT NULL AND (role = 'mcp' OR (role = 'sdk' AND protocol IN ('mcp', 'a2a')))
),
client AS (
    SELECT trace_id, span_id, name, min(submitter) AS submitter, list(DISTINCT action) AS actions, count(DISTINCT submitter) AS submitters
    FROM wire WHERE leaves AND span_id IS NOT NULL
    GROUP BY trace_id, span_id, name
),
server AS (
    SELECT trace_id, parent_span_id AS span_id, name, min(submitter) AS submitter, list(DISTINCT action) AS actions, count(DISTINCT submitter) AS submitters
    FROM wire WHERE arrives AND parent_span_id IS NOT NULL
    GROUP BY trace_id, parent_span_id, name
),
call AS (
    SELECT submitter, trace_id, span_id, name, min(action) AS action
    FROM live.fact JOIN live.member USING (n)
    WHERE trace_id IS NOT NULL AND span_id IS NOT NULL
    GROUP BY submitter, trace_id, span_id, name
)
SELECT unnest(client.actions) AS client, FALSE AS near,
    CASE WHEN len(client.actions) = 1 AND len(server.actions) = 1 AND client.submitters = 1 AND server.submitters = 1 THEN server.actions[1] END AS server
FROM client JOIN server USING (trace_id, span_id, name)
WHERE client.submitters > 1 OR server.submitters > 1 OR client.submitter <> server.submitter
UNION ALL
SELECT DISTINCT call.action, TRUE, wire.action
FROM wire JOIN call ON call.submitter = wire.submitter AND call.trace_id = wire.trace_id AND call.span_id = wire.parent_span_id AND call.name = wire.name
WHERE wire.role = 'sdk' AND call.action <> wire.action;

-- `far`: a record is the other side's.
CREATE OR REPLACE TABLE live.own AS
WITH
above AS (  -- one gateway after another: up to three
    SELECT server AS action, min(client) AS client, bool_and(near) AS near
    FROM live.both_sides WHERE server IS NOT NULL GROUP BY server HAVING count(DISTINCT client) = 1
),
top AS (
    SELECT first.action, coalesce(third.client, second.client, first.client) AS client, first.near AND coalesce(second.near, TRUE) AND coalesce(third.near, TRUE) AS near
    FROM above first LEFT JOIN above second ON second.action = first.client LEFT JOIN above third ON third.action = second.client
    WHERE first.action NOT IN (coalesce(second.client, 0), coalesce(third.client, 0))
)
SELECT n, coalesce(top.client, action) AS action, NOT coalesce(near, TRUE) AS far, CASE WHEN NOT near THEN 'both_sides' WHEN near THEN 'mcp' ELSE rule END AS rule
FROM live.member LEFT JOIN top USING (action);

-- Its own records in their order (`place`): after them what only tells again of it, and the far side's last. The first of all is 'record',
-- whatever brought it to the rest. What changes is said by the last (`latest`) of this side. Who is believed about an outcome (`doubt`): an
-- SDK's hook saw what happened, a span only that something ran, an MCP client only that it was answered; who knows no status, nobody.
CREATE OR REPLACE TABLE live.ruled AS
WITH placed AS (
    SELECT own.action, own.rule, own.far, fact.* EXCLUDE (action_id, name, protocol, span_id, instance, response_id, part, lib, output),
        n + CASE WHEN far THEN 1::BIGINT << 40 WHEN role = 'echo' THEN 1::BIGINT << 39 ELSE 0 END AS place,
        n - CASE WHEN far THEN 1::BIGINT << 40 ELSE 0 END AS latest,
        CASE WHEN role = 'sdk' AND NOT far THEN 0 WHEN role = 'mcp' AND outcome_status = 'unknown' THEN 7 WHEN far THEN 6 WHEN role = 'echo' THEN 5
            WHEN role = 'mcp' AND side = 'client' THEN 4 ELSE list_position(['ran', 'result', 'mcp'], role) END AS standing,
        ((CASE WHEN outcome_status IS NULL THEN 8 ELSE standing END)::BIGINT << 40) - n AS doubt
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
    arg_max(rule, latest) FILTER (policy) AS policy, arg_max(seq, latest) FILTER (policy) AS at_policy,
    arg_max(rule, latest) FILTER (approval) AS approval, arg_max(seq, latest) FILTER (approval) AS at_approval,
    arg_min(rule, doubt) FILTER (outcome) AS outcome, arg_min(seq, doubt) FILTER (outcome) AS at_outcome,
    arg_min(outcome_status, doubt) FILTER (outcome_status IS NOT NULL) AS outcome_status,
    bool_or(no_request) AS no_request, bool_or(no_decision) AS no_decision, bool_or(no_tool) AS no_tool,
    bool_or(no_identity) AS no_identity, bool_or(no_resource) AS no_resource,
    bool_or(whole AND outcome_status IS NULL AND coalesce(policy_effect, 'allow') IN ('allow', 'not_evaluated')) AS told_whole,
    list_sort([any_value(submitter) FILTER (NOT far)] || coalesce(list(DISTINCT submitter) FILTER (far), [])) AS submitters,
    coalesce(bool_or(outcome_status IN ('failure', 'denied')), FALSE) AS failed, coalesce(bool_or(outcome_status = 'success' AND standing < 3), FALSE) AS done,
    coalesce(bool_or(outcome_status = 'success' AND far), FALSE) AS done_far,  -- no word of this side's undoes what the other one did
    count(made_id) > count(DISTINCT made_id) AS contradicted
FROM live.ruled
GROUP BY action;
