-- title: What was touched through this tool server?
-- answers: One row per resource, tool and effect that calls of the server's tools touched: how often it was seen done, tried and denied, when first and last. Nothing that was done and never recorded.
-- group: reach
-- standard: OWASP ASI04
-- param server: text, required. Its address or name, as recorded.
-- param since: timestamp, default 1970-01-01T00:00:00Z. Only what happened from then on: the moment it was stolen or turned.
-- columns: resource_id, tool_name, tool_effect, actions, done (of which an outcome was seen that was no denial), denied, agents, persons (how many it was done for), sessions, first_time, last_time, first_seq

SELECT
    coalesce(resource_id, resource_name, resource_destination) AS resource_id, tool_name, tool_effect, count(*) AS actions,
    count(*) FILTER (execution = 'observed' AND outcome_status IS DISTINCT FROM 'denied') AS done,
    count(*) FILTER (policy_effect = 'deny' OR outcome_status = 'denied' OR approval_outcome = 'rejected') AS denied,
    list_sort(list_distinct(list(coalesce(identity_agent_id, identity_agent_name)))) AS agents,
    count(DISTINCT identity_principal_commitment) AS persons, count(DISTINCT session_id) AS sessions,
    min("time") AS first_time, max("time") AS last_time, arg_min(seq, ("time", seq)) AS first_seq
FROM actions
WHERE tool_server = $server
    AND "time" >= $since::TIMESTAMPTZ
GROUP BY ALL
ORDER BY first_time, first_seq
