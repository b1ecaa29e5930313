-- AD20: Where did the attack succeed: by agent (model and defence), and by suite and attack?
SELECT identity_agent_id AS agent, concat_ws('/', ext->>'$."agentdojo.suite"', ext->>'$."agentdojo.attack_type"') AS attack, count(*) AS runs
FROM records
WHERE "type" = 'request' AND ext->>'$."agentdojo.attack_type"' IS NOT NULL AND ext->>'$."agentdojo.injection_succeeded"' = 'true'
GROUP BY GROUPING SETS ((agent), (attack))
ORDER BY agent, runs DESC
