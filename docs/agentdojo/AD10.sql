-- AD10: How much text was posted to the attacker's web pages?
-- $literals is a JSON list of what gives the attacker away, {suite, literal}.
WITH literal AS (
    SELECT unnest(from_json($literals, '[{"suite": "VARCHAR", "literal": "VARCHAR"}]'), recursive := TRUE)
)
SELECT count(*) AS posts, sum(length(tool_arguments->>'content')) AS characters, max(length(tool_arguments->>'content')) AS largest
FROM actions
WHERE tool_name = 'post_webpage' AND ext->>'$."agentdojo.attack_type"' IS NOT NULL
    AND EXISTS (SELECT 1 FROM literal WHERE suite = ext->>'$."agentdojo.suite"' AND contains(tool_arguments, literal.literal))
