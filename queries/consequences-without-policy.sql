-- title: Which payments, messages, deletions and executions were never put to a policy?
-- answers: One row per agent, tool and effect: actions that change the world of which no record says that a policy was asked, or one says that none was. A policy that is not recorded may still have been applied.
-- group: policy
-- standard: OWASP ASI02
-- param since: timestamp, default 1970-01-01T00:00:00Z. Only what happened from then on.
-- columns: agent, tool_name, tool_effect, actions (without a verdict), of (all of them), not_evaluated (a record says so), resources, first_time, last_time, first_seq

SELECT
    coalesce(identity_agent_id, identity_agent_name) AS agent, tool_name, tool_effect,
    count(*) FILTER (coalesce(policy_effect, 'not_evaluated') = 'not_evaluated') AS actions, count(*) AS of,
    count(*) FILTER (policy_effect = 'not_evaluated') AS not_evaluated,
    count(DISTINCT coalesce(resource_id, resource_name, resource_destination))
        FILTER (coalesce(policy_effect, 'not_evaluated') = 'not_evaluated') AS resources,
    min("time") FILTER (coalesce(policy_effect, 'not_evaluated') = 'not_evaluated') AS first_time,
    max("time") FILTER (coalesce(policy_effect, 'not_evaluated') = 'not_evaluated') AS last_time,
    arg_min(seq, ("time", seq)) FILTER (coalesce(policy_effect, 'not_evaluated') = 'not_evaluated') AS first_seq
FROM actions
WHERE tool_effect IN ('pay', 'send', 'delete', 'execute', 'delegate') AND execution = 'observed' AND "time" >= $since::TIMESTAMPTZ
GROUP BY ALL
HAVING actions > 0
ORDER BY actions DESC, agent, tool_name
