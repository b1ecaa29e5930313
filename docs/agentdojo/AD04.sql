-- AD04: Which tool's result carried the injected instruction into the context first?
-- $goals is a JSON list of what each injection task wants, {suite, task, text}: it is compared without blanks and punctuation, because results
-- are wrapped and quoted.
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
SELECT tool_name, count(*) AS runs
FROM exposed JOIN call USING (run, place)
GROUP BY tool_name
ORDER BY runs DESC
