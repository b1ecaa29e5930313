-- title: Who approves everything, and faster than one can read?
-- answers: One row per approver with at least so many decisions: how many they approved, and the median of seconds from when the action was put to policy, or intended, until they decided. Speed alone proves no carelessness.
-- group: approval
-- standard: OWASP ASI09
-- param decisions: integer, default 5. From how many decisions on.
-- param percent: integer, default 95. From what share of approvals on.
-- param seconds: integer, default 10. Up to what median time.
-- columns: approver, approver_commitment, decisions, approved, percent, median_seconds, fastest_seconds, tools, first_time, last_time, first_seq

WITH decided AS (
    SELECT
        submitter, action_id, max("time") FILTER (approval_outcome IS NULL AND "type" IN ('action.intent', 'action.decision')) AS asked,
        min("time") FILTER (approval_outcome IS NOT NULL) AS decided
    FROM records
    WHERE action_id IS NOT NULL AND "type" IN ('action.intent', 'action.decision', 'action.approval')
    GROUP BY submitter, action_id
    HAVING decided IS NOT NULL
),
approver AS (
    SELECT
        max(approval_approver) AS approver, approval_approver_commitment AS approver_commitment, count(*) AS decisions,
        count(*) FILTER (approval_outcome = 'approved') AS approved,
        median(epoch(decided) - epoch(asked)) FILTER (decided >= asked) AS median_seconds,
        min(epoch(decided) - epoch(asked)) FILTER (decided >= asked) AS fastest_seconds,
        coalesce(list_sort(list(DISTINCT tool_name) FILTER (tool_name IS NOT NULL)), []) AS tools, min(decided) AS first_time, max(decided) AS last_time,
        arg_min(seq, ("time", seq)) AS first_seq
    FROM actions JOIN decided ON decided.submitter = actions.submitter AND decided.action_id = actions.action_id
    WHERE approval_approver_commitment IS NOT NULL AND approval_outcome IN ('approved', 'rejected')
    GROUP BY approval_approver_commitment
)
SELECT
    approver, approver_commitment, decisions, approved, round(100.0 * approved / decisions, 1)::DOUBLE AS percent, median_seconds, fastest_seconds,
    tools, first_time, last_time, first_seq
FROM approver
WHERE decisions >= $decisions AND 100.0 * approved >= $percent * decisions AND median_seconds <= $seconds
ORDER BY decisions DESC, first_seq
