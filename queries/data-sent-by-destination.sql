-- title: How much was sent where?
-- answers: One row per destination: how often something was sent, paid or delegated to it and seen done, how much, and since when. Bytes are those that records tell; where none does, the characters of the arguments stand alone.
-- group: exfiltration
-- standard: MITRE ATLAS AML.T0024
-- param since: timestamp, default 1970-01-01T00:00:00Z. Only what was sent from then on.
-- columns: destination, sent, bytes_out (the sum that records tell), characters (of the arguments, those not erased), largest_bytes, largest_characters, agents, tools, sessions, first_time, last_time, first_seq

SELECT
    coalesce(resource_destination, resource_id, resource_name) AS destination, count(*) AS sent,
    sum(outcome_bytes_out)::BIGINT AS bytes_out, sum(length(tool_arguments))::BIGINT AS characters,
    max(outcome_bytes_out) AS largest_bytes, max(length(tool_arguments)) AS largest_characters,
    list_sort(list_distinct(list(coalesce(identity_agent_id, identity_agent_name)))) AS agents,
    list_sort(list_distinct(list(tool_name))) AS tools, count(DISTINCT session_id) AS sessions,
    min("time") AS first_time, max("time") AS last_time, arg_min(seq, ("time", seq)) AS first_seq
FROM actions
WHERE (tool_effect IN ('send', 'pay', 'delegate') OR outcome_bytes_out > 0)
    AND execution = 'observed' AND coalesce(outcome_status, 'success') IN ('success', 'unknown')
    AND coalesce(resource_destination, resource_id, resource_name) IS NOT NULL AND "time" >= $since::TIMESTAMPTZ
GROUP BY destination
ORDER BY bytes_out DESC NULLS LAST, characters DESC NULLS LAST, destination
