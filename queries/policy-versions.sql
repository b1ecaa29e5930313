-- title: Which version of each policy was in force when, and what did it decide?
-- answers: One row per engine, policy and version: when it decided first and last, and how. Two versions at a time are two gates that are not alike.
-- group: policy
-- standard: ISO/IEC 42001 A.6.2.8
-- param since: timestamp, default 1970-01-01T00:00:00Z. Only decisions from then on.
-- columns: policy_engine, policy_id, policy_version, first_time, last_time, decisions, allowed, denied, asked_for_approval, errors, overlaps (the version before still decided after this one began), first_seq

WITH version AS (
    SELECT
        policy_engine, policy_id, policy_version, min("time") AS first_time, max("time") AS last_time, count(*) AS decisions,
        count(*) FILTER (policy_effect = 'allow') AS allowed, count(*) FILTER (policy_effect = 'deny') AS denied,
        count(*) FILTER (policy_effect = 'require_approval') AS asked_for_approval, count(*) FILTER (policy_effect = 'error') AS errors,
        arg_min(seq, ("time", seq)) AS first_seq
    FROM actions
    WHERE policy_effect IS NOT NULL AND policy_effect <> 'not_evaluated' AND "time" >= $since::TIMESTAMPTZ
    GROUP BY policy_engine, policy_id, policy_version
)
SELECT
    policy_engine, policy_id, policy_version, first_time, last_time, decisions, allowed, denied, asked_for_approval, errors,
    coalesce(max(last_time) OVER earlier > first_time, FALSE) AS overlaps, first_seq
FROM version
WINDOW earlier AS (
    PARTITION BY policy_engine, policy_id ORDER BY first_time, first_seq ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
ORDER BY policy_engine, policy_id, first_time, first_seq
