-- title: Which agents act without leaving a request, a decision, an identity, a resource or a policy decision?
-- answers: One row per agent and submitter: how many of its actions lack each facet. A facet whose absence the record explains is not counted; a policy that is not recorded may still have been applied.
-- group: integrity
-- standard: EU AI Act, Article 19
-- param since: timestamp, default 1970-01-01T00:00:00Z. Only what happened from then on.
-- columns: agent, submitter, actions, without_request, without_decision, without_tool, without_identity, without_resource, without_policy, not_observed (intended or decided, no outcome seen), complete (nothing missing)

SELECT
    coalesce(identity_agent_id, identity_agent_name) AS agent,
    submitter,
    count(*) AS actions,
    count(*) FILTER (list_contains(facets_missing, 'request')) AS without_request,
    count(*) FILTER (list_contains(facets_missing, 'decision')) AS without_decision,
    count(*) FILTER (list_contains(facets_missing, 'tool')) AS without_tool,
    count(*) FILTER (list_contains(facets_missing, 'identity')) AS without_identity,
    count(*) FILTER (list_contains(facets_missing, 'resource')) AS without_resource,
    count(*) FILTER (policy_effect IS NULL OR policy_effect = 'not_evaluated') AS without_policy,
    count(*) FILTER (execution = 'not_observed') AS not_observed,
    count(*) FILTER (len(facets_missing) = 0 AND policy_effect IS NOT NULL) AS complete
FROM actions
WHERE "time" >= $since::TIMESTAMPTZ
GROUP BY ALL
ORDER BY actions DESC, agent, submitter
