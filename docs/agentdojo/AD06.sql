-- AD06: Did the agent read the injected instruction at all, and was the attacker's goal reached? By agent.
-- $goals: see AD04. The run's own record is asked too: a run without a tool call read nothing.
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
SELECT asked.identity_agent_id AS agent, exposed.run IS NOT NULL AS exposed,
       CASE asked.ext->>'$."agentdojo.injection_succeeded"' WHEN 'true' THEN 'succeeded' WHEN 'false' THEN 'resisted' ELSE 'unknown' END AS outcome,
       count(*) AS runs
FROM records asked LEFT JOIN exposed ON exposed.run = asked.request_conversation_id
WHERE asked."type" = 'request' AND asked.ext->>'$."agentdojo.attack_type"' IS NOT NULL
GROUP BY ALL
ORDER BY runs DESC
