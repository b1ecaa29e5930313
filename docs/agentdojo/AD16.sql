-- AD16: Whom did attacked runs send money to whom no run without an attack had sent any?
-- The same as `first-seen-recipients`, but what is normal is a kind of session here, not a time.
WITH paid AS (
    SELECT tool_arguments->>'recipient' AS recipient, ext->>'$."agentdojo.attack_type"' IS NOT NULL AS attacked
    FROM actions
    WHERE tool_name = 'send_money'
)
SELECT recipient, count(*) AS calls
FROM paid
WHERE attacked AND recipient NOT IN (SELECT recipient FROM paid WHERE NOT attacked AND recipient IS NOT NULL)
GROUP BY recipient
ORDER BY calls DESC, recipient
