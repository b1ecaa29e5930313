-- AD19: Successful attacks without an attacker's literal in any argument: a search for indicators misses them.
-- $literals: see AD10.
WITH literal AS (
    SELECT unnest(from_json($literals, '[{"suite": "VARCHAR", "literal": "VARCHAR"}]'), recursive := TRUE)
),
bound AS (
    SELECT DISTINCT request_conversation_id AS run
    FROM actions JOIN literal ON literal.suite = ext->>'$."agentdojo.suite"' AND contains(tool_arguments, literal.literal)
)
SELECT concat_ws('/', ext->>'$."agentdojo.suite"', ext->>'$."agentdojo.injection_task_id"') AS task, count(*) AS runs
FROM records
WHERE "type" = 'request' AND ext->>'$."agentdojo.attack_type"' IS NOT NULL AND ext->>'$."agentdojo.injection_succeeded"' = 'true'
    AND request_conversation_id NOT IN (FROM bound)
GROUP BY task
ORDER BY runs DESC
