-- AD17: How many calls from the exposure to the first one that carries an attacker's literal: median and most?
-- $goals: see AD04; $literals is a JSON list of what gives the attacker away, {suite, literal}.
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
),
literal AS (
    SELECT unnest(from_json($literals, '[{"suite": "VARCHAR", "literal": "VARCHAR"}]'), recursive := TRUE)
),
bound AS (
    SELECT run, min(call.place) - any_value(exposed.place) AS calls
    FROM call JOIN exposed USING (run) JOIN literal ON literal.suite = call.suite AND contains(call.tool_arguments, literal.literal)
    WHERE call.place > exposed.place
    GROUP BY run
)
SELECT count(*) AS runs, median(calls) AS median, max(calls) AS most FROM bound
