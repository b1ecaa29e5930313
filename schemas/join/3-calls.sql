-- The join, 3 of 8: which records of telemetry are one call, to each observer. This and the next are left out where there is no telemetry.

-- What is compared: the tool's name, and its arguments. Only where there is telemetry to join.
CREATE OR REPLACE TABLE live.call AS
WITH argument AS (
    SELECT seq, live.digest(tool_arguments) AS arguments
    FROM live.records
    WHERE tool_arguments IS NOT NULL AND submitter IN (SELECT submitter FROM live.fact WHERE role <> 'sdk')
)
SELECT
    fact.*, own.sid, parent.sid AS parent_sid, coalesce('i:' || instance, 't:' || fact.trace_id) AS place,
    regexp_replace(name, '^[^-]+-', '') AS bare_name, argument.arguments
FROM live.fact
LEFT JOIN argument USING (seq)
LEFT JOIN live.span own ON own.submitter = fact.submitter AND own.trace_id = fact.trace_id AND own.span_id = fact.span_id
LEFT JOIN live.span parent ON parent.submitter = fact.submitter AND parent.trace_id = fact.trace_id AND parent.span_id = fact.parent_span_id
WHERE role IS NOT NULL AND fact.submitter IN (SELECT submitter FROM live.fact WHERE role <> 'sdk');

-- Calls that a model's output names. One library's copies of one chat are one call; so are two libraries' that name the same answer, also
-- in two traces; and where one of them knows no answer's id, the k-th time that each saw this call in this process.
CREATE OR REPLACE TABLE live.asked AS
WITH copy AS (
    SELECT *, concat_ws(' ', lib, kind, CASE WHEN starts_with(part, 'choice') THEN 'log' END) AS observer, CASE
        WHEN call_id IS NULL THEN min(n) OVER (PARTITION BY submitter, made_id)
        WHEN kind = 'hop' THEN min(n) OVER (PARTITION BY submitter, coalesce(conversation_id, trace_id), call_id, name, arguments)
        ELSE min(n) OVER (PARTITION BY submitter, trace_id, parent_span_id, call_id, name, arguments, observer) END AS once
    FROM live.call WHERE role = 'asked'
),
answer AS (
    SELECT *, CASE WHEN call_id IS NULL OR response_id IS NULL THEN once ELSE min(once) OVER (PARTITION BY submitter, call_id, response_id) END AS same
    FROM copy
),
turn AS (
    SELECT *, dense_rank() OVER (PARTITION BY submitter, place, call_id, name, arguments, observer ORDER BY same) AS k FROM answer
),
seen AS (
    SELECT *, CASE
        WHEN call_id IS NULL OR min(response_id) OVER by_turn <> max(response_id) OVER by_turn THEN same
        ELSE min(same) OVER by_turn END AS first_seen
    FROM turn
    WINDOW by_turn AS (PARTITION BY submitter, place, call_id, name, arguments, k)
)
SELECT *, CASE
    WHEN trace_id IS NOT DISTINCT FROM first_value(trace_id) OVER by_unit THEN 'call_id'
    WHEN response_id = first_value(response_id) OVER by_unit THEN 'response_id'
    ELSE 'instance' END AS rule
FROM (SELECT * EXCLUDE (once, same, k, first_seen), min(first_seen) OVER (PARTITION BY same) AS unit FROM seen)
WINDOW by_unit AS (PARTITION BY unit ORDER BY n);

-- Model calls that say nothing of their output: which call they made is told only by what came after.
CREATE OR REPLACE TABLE live.silent AS
SELECT span.sid, span.parent_sid, submitter, 't:' || trace_id AS trace, 'i:' || any_value(instance) AS instance, min("time") AS "time", min(n) AS n
FROM live.fact JOIN live.span USING (submitter, trace_id, span_id)
WHERE "type" = 'decision' AND kind IS NOT NULL
GROUP BY ALL
HAVING NOT bool_or(output) AND (submitter, trace_id, span_id) NOT IN (
    SELECT (submitter, trace_id, parent_span_id) FROM live.asked WHERE trace_id IS NOT NULL AND parent_span_id IS NOT NULL);

-- What tells of a call again: the history of a later model call, an agent's summary. It goes with the last time before it that the call was
-- named (a summary, which starts before all it tells: the first time after). What was named nowhere else is a call that it alone tells.
CREATE OR REPLACE TABLE live.echo AS
WITH
echo AS (FROM live.call WHERE role = 'echo'),
way AS (  -- by which name an echo may find its call, the surest first
    SELECT *, unnest([
        {'priority': 1, 'rule': 'call_id', 'key': [submitter, 't:' || trace_id, call_id, name, arguments]},
        {'priority': 2, 'rule': 'call_id', 'key': [submitter, 't:' || trace_id, call_id]},
        {'priority': 3, 'rule': 'call_id', 'key': [submitter, 'c:' || conversation_id, call_id]},
        {'priority': 4, 'rule': 'instance', 'key': [submitter, 'i:' || instance, call_id, name, arguments]},
        {'priority': 5, 'rule': 'instance', 'key': [submitter, 'i:' || instance, call_id]},
        {'priority': 6, 'rule': 'arguments', 'key': [submitter, 't:' || trace_id, name, arguments, '']}], recursive := TRUE)
    FROM (SELECT * FROM echo UNION ALL BY NAME SELECT * EXCLUDE (rule) FROM live.asked)
),
known AS (  -- as text: DuckDB 2.0 answers wrongly when one of an ASOF join's keys is a list
    SELECT * REPLACE (to_json(key)::VARCHAR AS key) FROM way
    WHERE list_count(key) = len(key) AND (priority <> 5 OR name IS NULL OR role = 'asked') AND (priority <> 6 OR call_id IS NULL)
),
met AS (
    SELECT later.n, later.priority, later.rule, earlier.unit
    FROM (FROM known WHERE role = 'echo' AND kind <> 'agent') later
    ASOF JOIN (FROM known WHERE role = 'asked') earlier ON earlier.priority = later.priority AND earlier.key = later.key AND later.n >= earlier.n
    UNION ALL
    SELECT earlier.n, earlier.priority, earlier.rule, later.unit
    FROM (FROM known WHERE role = 'echo' AND kind = 'agent') earlier
    ASOF JOIN (FROM known WHERE role = 'asked') later ON earlier.priority = later.priority AND earlier.key = later.key AND earlier.n <= later.n
),
decider AS (  -- the last silent model call before the one that tells; of a summary, the first one under its agent
    SELECT echo.n, silent.sid, silent.n AS decided, 1 AS priority
    FROM echo ASOF JOIN live.silent ON silent.submitter = echo.submitter AND silent.trace = 't:' || echo.trace_id AND silent."time" < echo."time"
    WHERE echo.kind <> 'agent'
    UNION ALL
    SELECT echo.n, silent.sid, silent.n, 2
    FROM echo ASOF JOIN live.silent ON silent.submitter = echo.submitter AND silent.instance = 'i:' || echo.instance AND silent."time" < echo."time"
    WHERE echo.kind <> 'agent'
    UNION ALL
    SELECT echo.n, silent.sid, silent.n, 1
    FROM echo ASOF JOIN live.silent ON silent.submitter = echo.submitter AND silent.parent_sid = echo.parent_sid AND silent."time" >= echo."time"
    WHERE echo.kind = 'agent'
),
decided AS (SELECT n, arg_min(sid, priority) AS decider, arg_min(decided, priority) AS decided FROM decider GROUP BY n)
SELECT echo.*, coalesce(best.unit, min(n) OVER alike) AS unit, CASE WHEN best.unit IS NULL THEN 'call_id' ELSE best.rule END AS rule,
    CASE WHEN best.unit IS NULL THEN first_value(decider) OVER (alike ORDER BY n) END AS decider,
    CASE WHEN best.unit IS NULL THEN coalesce(first_value(decided) OVER (alike ORDER BY n), 0) END AS decided
FROM echo
LEFT JOIN (SELECT n, arg_min({'unit': unit, 'rule': rule}, priority) AS best FROM met GROUP BY n) USING (n)
LEFT JOIN decided USING (n)
WINDOW alike AS (PARTITION BY submitter, place, call_id, name, arguments, CASE WHEN call_id IS NULL THEN decider END, best.unit IS NULL);

-- Executions: a span sent twice is one. So are the two sides of MCP below a tool's span (where no tool is above them: below their topmost),
-- and a tool's span below that of the same call, since libraries wrap each other and a server runs what its client asked for. A span of
-- another tool than the one above it is a call of its own.
CREATE OR REPLACE TABLE live.ran AS
WITH
run AS (SELECT *, min(n) OVER (PARTITION BY submitter, made_id) AS once FROM live.call WHERE role IN ('ran', 'mcp')),
edge AS (SELECT sid, min(distance) FILTER (climb = 'stop') AS stop, min(distance) FILTER (climb = 'call') AS call FROM live.above GROUP BY sid),
first_of AS (  -- one record speaks for a span
    SELECT sid, min(n) AS n, arg_min(role, n) AS role, arg_min(name, n) AS name, arg_min(call_id, n) AS call_id, arg_min(arguments, n) AS arguments
    FROM live.call WHERE role IN ('ran', 'mcp', 'sdk') AND sid IS NOT NULL
    GROUP BY sid
),
host AS (  -- the calls in the spans above, without an agent or a model between
    SELECT run.n, run.role, above.distance, host.n AS host, host.role AS host_role, above.distance <= coalesce(edge.call, 99) AS nearest,
        host.name = run.name AS same_name, host.call_id = run.call_id OR host.arguments = run.arguments AS same_call,
        coalesce(host.name = run.name OR ends_with(host.name, run.name) AND substr(host.name, -len(run.name) - 1, 1) IN ('-', '_', '.', '/', ':')
            OR ends_with(run.name, host.name) AND substr(run.name, -len(host.name) - 1, 1) IN ('-', '_', '.', '/', ':'), TRUE) AS alike
    FROM run JOIN edge USING (sid) JOIN live.above USING (sid) JOIN first_of host ON host.sid = above.up
    WHERE above.distance < coalesce(edge.stop, 99)
),
found AS (
    SELECT n, coalesce(
        arg_min(host, distance) FILTER (role = 'mcp' AND host_role <> 'mcp' AND nearest AND alike),
        arg_max(host, distance) FILTER (role = 'mcp' AND host_role = 'mcp' AND nearest AND alike),
        arg_max(host, distance) FILTER (role = 'ran' AND same_name AND (same_call OR host_role = 'mcp'))) AS host
    FROM host
    GROUP BY n
),
top AS (SELECT found.n, coalesce(higher.host, found.host) AS host FROM found LEFT JOIN found higher ON higher.n = found.host)
SELECT run.* EXCLUDE (once), coalesce(stage.unit, above.once, run.once) AS unit, top.host IS NOT NULL AS folded,
    CASE run.role WHEN 'mcp' THEN 'mcp' ELSE 'spans' END AS rule
FROM run LEFT JOIN top USING (n) LEFT JOIN run above ON above.n = top.host LEFT JOIN live.stage ON stage.n = top.host;
