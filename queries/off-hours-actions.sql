-- title: What was changed outside working hours?
-- answers: Every action that is no mere reading, was seen done, and happened at night or on Saturday or Sunday, by the clock of a time zone. What a schedule set off is left out unless asked for.
-- group: anomaly
-- standard: NIST SP 800-53 AC-2 (12)
-- param from_hour: integer, default 7. Working hours begin.
-- param until_hour: integer, default 19. Working hours end.
-- param zone: text, default UTC. Whose clock: a name of the time zone database, as Europe/Berlin.
-- param scheduled: boolean, default false. With what a schedule set off.
-- columns: time, local (by that clock), agent, tool_name, tool_effect, resource_id, origin, principal, principal_commitment, session_id, submitter, seq

WITH act AS (
    SELECT *, timezone($zone, "time") AS local FROM actions
    WHERE tool_effect <> 'read' AND execution = 'observed' AND outcome_status IS DISTINCT FROM 'denied'
        AND ($scheduled OR request_origin IS DISTINCT FROM 'schedule')
)
SELECT
    "time", local, coalesce(identity_agent_id, identity_agent_name) AS agent, tool_name, tool_effect,
    coalesce(resource_id, resource_name, resource_destination) AS resource_id, request_origin AS origin, identity_principal AS principal,
    identity_principal_commitment AS principal_commitment, session_id, submitter, seq
FROM act
WHERE hour(local) < $from_hour OR hour(local) >= $until_hour OR isodow(local) >= 6
ORDER BY "time", seq
