-- title: Which tools were described differently to the model from one time on?
-- answers: One row per definition of a tool that replaced or joined another one: what the model was told changed under the same name. A release changes it, and so does a rug pull.
-- group: anomaly
-- standard: OWASP ASI04
-- param since: timestamp, default 1970-01-01T00:00:00Z. Only definitions first seen from then on.
-- columns: tool_server, tool_name, first_time (the new definition's first call), before, digest, calls_before (with earlier definitions), calls (with this one), first_seq

WITH definition AS (
    SELECT tool_server, tool_name, unnest(definitions) AS told, generate_subscripts(definitions, 1) AS number, definitions FROM tools WHERE changed
)
SELECT
    tool_server, tool_name, told.first_seen AS first_time, definitions[number - 1].digest AS before, told.digest AS digest,
    list_sum(list_transform(definitions[1:number - 1], lambda d: d.actions))::BIGINT AS calls_before, told.actions AS calls, told.first_seq AS first_seq
FROM definition
WHERE number > 1 AND told.first_seen >= $since::TIMESTAMPTZ
ORDER BY first_time, first_seq
