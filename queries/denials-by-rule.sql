-- title: Which rules deny, how often, and whom?
-- answers: One row per policy, rule and reason: how many actions it denied, how many ran all the same, of how many the same was done another way. A rejection by a person has no rule.
-- group: policy
-- standard: NIST SP 800-53 AU-6
-- param since: timestamp, default 1970-01-01T00:00:00Z. Only denials from then on.
-- columns: policy_engine, policy_id, policy_rule, policy_reason, denied, executed (they ran all the same), done_another_way, agents, tools, first_time, last_time, first_seq

SELECT
    policy_engine, policy_id, policy_rule, policy_reason, count(*) AS denied, count(*) FILTER (executed) AS executed,
    count(done_seq) AS done_another_way, list_sort(list_distinct(list(agent))) AS agents, list_sort(list_distinct(list(tool_name))) AS tools,
    min("time") AS first_time, max("time") AS last_time, arg_min(seq, ("time", seq)) AS first_seq
FROM denials
WHERE "time" >= $since::TIMESTAMPTZ
GROUP BY ALL
ORDER BY denied DESC, first_seq
