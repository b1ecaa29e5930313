-- The join, 6 of 8: what an action takes from records that are not its own, and what its own disagree about.

-- Who asks for what. The records of the model's own words ask where the model was called (parent), an echo only above the later call that it
-- stands in. `more`: the facet is there, but of telemetry's decisions the rest (prompt, output, tokens) is in the model call's own record.
CREATE OR REPLACE TABLE live.need AS
WITH open AS (
    SELECT action, ended, unnest(list_filter([
        CASE WHEN request IS NULL AND NOT no_request THEN 'request' END,
        CASE WHEN (decision IS NULL OR made) AND NOT no_decision THEN 'decision' END,
        CASE WHEN agent IS NULL AND NOT no_identity THEN 'agent' END,
        CASE WHEN principal IS NULL AND NOT no_identity THEN 'principal' WHEN made THEN 'principal elsewhere' END], lambda f: f IS NOT NULL)) AS facet,
        facet = 'decision' AND decision IS NOT NULL AS more
    FROM live.action
)
SELECT open.*, n, ruled.submitter, call_id, ruled.trace_id, ruled.parent_span_id, conversation_id, turn_id, role, sid AS parent_sid,
    role = 'echo' AND kind <> 'agent' AS later
FROM open JOIN live.ruled USING (action)
LEFT JOIN live.span ON span.submitter = ruled.submitter AND span.trace_id = ruled.trace_id AND span.span_id = ruled.parent_span_id
WHERE coalesce(ruled.trace_id, conversation_id) IS NOT NULL
UNION ALL  -- the silent model call that an echo was traced back to
SELECT open.*, n, echo.submitter, NULL, NULL, NULL, NULL, NULL, 'asked', decider, FALSE
FROM open JOIN live.own USING (action) JOIN live.echo USING (n)
WHERE decider IS NOT NULL;

-- Who offers what: records that are no call's own. `weak`: an agent's word about the model behind it, or a model call whose output is known
-- and (since it was not taken already) names another call.
CREATE OR REPLACE TABLE live.offer AS
SELECT n, seq, fact.submitter, "time", fact.trace_id, fact.parent_span_id, conversation_id, turn_id, sid, unnest(list_filter([
    CASE WHEN request THEN 'request' END, CASE WHEN decision THEN 'decision' END,
    CASE WHEN agent THEN 'agent' END, CASE WHEN principal THEN 'principal' END, CASE WHEN principal THEN 'principal elsewhere' END], lambda f: f IS NOT NULL)) AS facet,
    facet = 'decision' AND kind IS NOT NULL AND ("type" = 'agent.run' OR output) AS weak, "type" = 'agent.run' AS of_agent, output
FROM live.fact
LEFT JOIN live.span ON span.submitter = fact.submitter AND span.trace_id = fact.trace_id AND span.span_id = fact.span_id
WHERE role IS NULL AND fact.submitter <> 'log';

CREATE OR REPLACE TABLE live.filled AS
WITH
-- Of all that one rule could take, one is best whoever asks: it is chosen before the join, or many alike would be joined with many alike.
named AS (  -- the calls that a decision's output names, whatever the shape of its JSON
    SELECT DISTINCT seq, submitter, trace_trace_id AS trace_id, request_conversation_id AS conversation_id, unnest(regexp_extract_all(
        decision_output, '"(?:id|call_id|callId|tool_call_id|toolUseId)"\s*:\s*"([^"\\]+)"', 1)) AS call_id
    FROM live.records
    WHERE decision_output IS NOT NULL
),
named_best AS (
    SELECT submitter, facet, call_id, scope, arg_max({'seq': seq, 'n': n}, n) AS best
    FROM (
        SELECT named.submitter, named.call_id, offer.facet, offer.seq, offer.n, unnest(['t:' || named.trace_id, 'c:' || named.conversation_id]) AS scope
        FROM named JOIN live.offer ON offer.seq = named.seq
    )
    WHERE scope IS NOT NULL
    GROUP BY submitter, facet, call_id, scope
),
span_best AS (  -- one span may be told in two parts: the span itself, and a log record with what the model said
    SELECT sid, facet, list_filter([arg_min(seq, (of_agent, -n)) FILTER (NOT output), arg_min(seq, (of_agent, -n)) FILTER (output)], lambda s: s IS NOT NULL) AS seqs, max(n) AS n, bool_and(of_agent AND facet = 'decision') AS late
    FROM live.offer WHERE sid IS NOT NULL
    GROUP BY sid, facet
),
nearest AS (  -- the span itself is at distance 0
    SELECT start.sid, later, facet, arg_min({'seqs': seqs, 'n': n, 'late': late, 'distance': distance}, (late, distance)) AS best
    FROM (SELECT DISTINCT parent_sid AS sid, later FROM live.need WHERE parent_sid IS NOT NULL) start
    JOIN (SELECT sid, sid AS up, 0 AS distance FROM live.span UNION ALL SELECT sid, up, distance FROM live.above) above USING (sid)
    JOIN span_best ON span_best.sid = above.up
    WHERE distance > 0 OR NOT later
    GROUP BY ALL
),
trace_best AS (
    SELECT submitter, trace_id, arg_min({'seq': seq, 'n': n}, n) AS best FROM live.offer WHERE facet = 'request' AND trace_id IS NOT NULL GROUP BY ALL
),
found AS (
    SELECT need.action, need.facet, best.seqs, best.n, CASE WHEN best.late THEN 8 WHEN role = 'asked' THEN 1 WHEN best.distance = 0 THEN 3 ELSE 5 END AS priority,
        best.distance, 'spans' AS rule, more AND NOT (role = 'asked' AND best.distance = 0) AS beside
    FROM live.need JOIN nearest ON nearest.sid = parent_sid AND nearest.facet = need.facet AND nearest.later = need.later
    UNION ALL
    SELECT need.action, need.facet, [best.seq], best.n, 2, 0, 'named_by_decision', more
    FROM (SELECT *, unnest(['t:' || trace_id, 'c:' || conversation_id]) AS scope FROM live.need) need
    JOIN named_best USING (submitter, facet, call_id, scope)
    UNION ALL
    SELECT need.action, need.facet, [offer.seq], offer.n, 4, 0, 'spans', more
    FROM live.need ASOF JOIN (FROM live.offer WHERE NOT weak) offer ON offer.submitter = need.submitter AND offer.facet = need.facet
        AND offer.trace_id = need.trace_id AND offer.parent_span_id = need.parent_span_id AND need.ended >= offer."time"
    UNION ALL
    SELECT need.action, need.facet, [offer.seq], offer.n, 6, 0, 'conversation', more
    FROM live.need ASOF JOIN (FROM live.offer WHERE NOT weak) offer ON offer.submitter = need.submitter AND offer.facet = need.facet
        AND offer.conversation_id = need.conversation_id AND need.ended >= offer."time"
    WHERE need.turn_id IS NULL OR offer.turn_id IS NULL OR need.turn_id = offer.turn_id
    UNION ALL
    SELECT need.action, need.facet, [best.seq], best.n, 7, 0, 'trace', more
    FROM live.need JOIN trace_best USING (submitter, trace_id) WHERE need.facet = 'request'
)
SELECT action, facet, arg_min({'seqs': seqs, 'rule': rule}, (priority, distance, -n)) AS "from"
FROM found WHERE NOT beside
GROUP BY action, facet;

-- What its own records say differently, by the member's path. An outcome is one only where a failure would be hidden behind a success.
CREATE OR REPLACE TABLE live.conflict AS
WITH
many AS (SELECT action, seq, role FROM live.ruled WHERE action IN (SELECT action FROM live.action WHERE records > 1)),
fact AS (
    SELECT action, count(DISTINCT decision_response_model) > 1 AS model, count(DISTINCT decision_response_id) > 1 AS response,
        count(DISTINCT identity_agent_id) > 1 AS agent, count(DISTINCT resource_id) > 1 AS resource,
        min(tool_name) <> max(tool_name) OR min(tool_arguments) <> max(tool_arguments) AS differs
    FROM many JOIN live.records USING (seq) GROUP BY action
),
said AS (  -- what is written differently may be the same
    SELECT action, count(DISTINCT regexp_replace(tool_name, '^[^-]+-', '')) FILTER (role <> 'mcp') > 1 AS name,
        count(DISTINCT live.digest(tool_arguments)) > 1 AS arguments
    FROM many JOIN live.records USING (seq) WHERE action IN (SELECT action FROM fact WHERE differs) GROUP BY action
),
person AS (  -- also the one whom the spans around name: an app may say another than the server that checked
    SELECT action, count(DISTINCT coalesce(identity_principal, identity_principal_commitment)) > 1 AS principal
    FROM (SELECT action, seq FROM live.ruled UNION ALL SELECT action, unnest("from".seqs) FROM live.filled WHERE facet = 'principal elsewhere') said
    JOIN live.records USING (seq)
    WHERE action IN (SELECT action FROM live.action WHERE principal IS NOT NULL AND (records > 1 OR made))
    GROUP BY action
),
claimed AS (SELECT DISTINCT client AS action FROM live.both_sides WHERE server IS NULL AND NOT near)
SELECT action, list_filter([
    CASE WHEN name THEN 'tool.name' END, CASE WHEN arguments THEN 'tool.arguments' END, CASE WHEN model THEN 'decision.response_model' END,
    CASE WHEN response THEN 'decision.response_id' END, CASE WHEN fact.agent THEN 'identity.agent_id' END,
    CASE WHEN person.principal THEN 'identity.principal' END, CASE WHEN fact.resource THEN 'resource.id' END,
    CASE WHEN (outcome_status = 'success' AND failed) OR (outcome_status = 'denied' AND (done OR done_far)) THEN 'outcome.status' END,
    CASE WHEN contradicted THEN 'id' END, CASE WHEN claimed.action IS NOT NULL THEN 'trace.parent_span_id' END], lambda c: c IS NOT NULL) AS conflicts
FROM live.action LEFT JOIN said USING (action) LEFT JOIN fact USING (action) LEFT JOIN person USING (action)
LEFT JOIN claimed USING (action)
WHERE records > 1 OR person.principal OR claimed.action IS NOT NULL;
