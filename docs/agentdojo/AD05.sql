-- AD05: What was the first tool call after exposure, over all exposed runs and over those in which the attack succeeded?
-- $goals: see AD04.
WITH goal AS (
    SELECT unnest(from_json($goals, '[{"suite": "VARCHAR", "task": "VARCHAR", "text": "VARCHAR"}]'), recursive := TRUE)
),
call AS (
    SELECT request_conversation_id AS run, "time", seq, tool_name, tool_arguments, identity_agent_id AS agent, ext->>'$."agentdojo.suite"' AS suite,
        row_number() OVER (PARTITION BY request_conversation_id ORDER BY "time", seq) AS place,
        contains(regexp_replace(replace(outcome_result->>'$', '\n', ' '), '[^A-Za-z0-9]', '', 'g'), regexp_replace(goal.text, '[^A-Za-z0-9]', '', 'g')) AS carries
    FROM actions
    LEFT JOIN goal ON goal.suite = ext->>'$."agentdojo.suite"' AND goal.task = ext->>'$."agentdojo.injection_task_id"'
    WHERE ext->>'$."agentdojo.attack_type"' IS NOT NULL
),
exposed AS (
    SELECT run, min(place) AS place FROM call WHERE carries GROUP BY run
)
SELECT coalesce(next.tool_name, '(none)') AS tool_name, count(*) AS runs,
       count(*) FILTER (asked.ext->>'$."agentdojo.injection_succeeded"' = 'true') AS succeeded
FROM exposed
LEFT JOIN call next ON next.run = exposed.run AND next.place = exposed.place + 1
JOIN records asked ON asked."type" = 'request' AND asked.request_conversation_id = exposed.run
GROUP BY ALL
ORDER BY runs DESC, tool_name
