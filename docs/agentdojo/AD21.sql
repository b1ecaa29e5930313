-- AD21 and AD22: Attacked runs with an attacker's literal in an argument: had the user named that literal themselves, and was the goal reached?
-- $literals: see AD10.
WITH literal AS (
    SELECT unnest(from_json($literals, '[{"suite": "VARCHAR", "literal": "VARCHAR"}]'), recursive := TRUE)
),
bound AS (
    SELECT request_conversation_id AS run, bool_or(contains(request_text, literal.literal)) AS user_named_it,
           any_value(ext->>'$."agentdojo.injection_succeeded"') AS succeeded
    FROM actions JOIN literal ON literal.suite = ext->>'$."agentdojo.suite"' AND contains(tool_arguments, literal.literal)
    WHERE ext->>'$."agentdojo.attack_type"' IS NOT NULL
    GROUP BY run
)
SELECT user_named_it, coalesce(succeeded, 'unknown') AS succeeded, count(*) AS runs FROM bound GROUP BY ALL ORDER BY ALL
