-- The join, 2 of 8: which records of one SDK, gateway or hand are one action. Their `unit` is the first of them.

-- Records of type action and its stages, and a `decision` about one named call: by action_id; one without it, by call_id within the same
-- trace or conversation.
CREATE OR REPLACE TABLE live.stage AS
WITH
known AS (  -- the action_id of a call, where a trace or conversation tells it without contradiction
    SELECT submitter, call_id, scope, any_value(action_id) AS known_id
    FROM (
        SELECT submitter, call_id, action_id, unnest(['t:' || trace_id, 'c:' || conversation_id]) AS scope
        FROM live.fact WHERE role = 'sdk' AND action_id IS NOT NULL AND call_id IS NOT NULL
    )
    WHERE scope IS NOT NULL
    GROUP BY submitter, call_id, scope
    HAVING count(DISTINCT action_id) = 1
),
told AS (
    SELECT fact.*, coalesce(fact.action_id, by_trace.known_id, by_conversation.known_id) AS told_id
    FROM live.fact
    LEFT JOIN known by_trace ON fact.action_id IS NULL AND by_trace.submitter = fact.submitter
        AND by_trace.call_id = fact.call_id AND by_trace.scope = 't:' || fact.trace_id
    LEFT JOIN known by_conversation ON fact.action_id IS NULL AND by_conversation.submitter = fact.submitter
        AND by_conversation.call_id = fact.call_id AND by_conversation.scope = 'c:' || fact.conversation_id
    WHERE role = 'sdk'
),
called AS (  -- the first record that a call without action_id shares with others in its trace or its conversation
    SELECT *, least(
        CASE WHEN trace_id IS NOT NULL THEN min(n) OVER (PARTITION BY submitter, call_id, trace_id) END,
        CASE WHEN conversation_id IS NOT NULL THEN min(n) OVER (PARTITION BY submitter, call_id, conversation_id) END,
        n) AS near
    FROM told WHERE told_id IS NULL AND call_id IS NOT NULL
),
grouped AS (
    SELECT *, min(n) OVER (PARTITION BY submitter, told_id) AS first_of FROM told WHERE told_id IS NOT NULL
    UNION ALL  -- once more, because one record may share its trace with a second and its conversation with a third
    SELECT * EXCLUDE (near), least(
        CASE WHEN trace_id IS NOT NULL THEN min(near) OVER (PARTITION BY submitter, call_id, trace_id) END,
        CASE WHEN conversation_id IS NOT NULL THEN min(near) OVER (PARTITION BY submitter, call_id, conversation_id) END,
        near)
    FROM called
    UNION ALL
    SELECT *, n FROM told WHERE told_id IS NULL AND call_id IS NULL
)
SELECT  -- a model may use a call_id twice: two whole actions are two rows, unless they say themselves that they are one
    n, CASE WHEN whole AND action_id IS NULL AND count(*) FILTER (whole) OVER (PARTITION BY first_of) > 1 THEN -n ELSE first_of END AS unit,
    CASE WHEN action_id IS NOT NULL THEN 'action_id' ELSE 'call_id' END AS rule
FROM grouped;
