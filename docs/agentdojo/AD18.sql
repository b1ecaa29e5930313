-- AD18: Stealthy compromises: the attacker's goal was reached, and the user's task was done.
SELECT count(*) AS runs
FROM records
WHERE "type" = 'request' AND ext->>'$."agentdojo.attack_type"' IS NOT NULL
    AND ext->>'$."agentdojo.injection_succeeded"' = 'true' AND ext->>'$."agentdojo.utility"' = 'true'
