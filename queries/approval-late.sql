-- title: What was approved only after it had been done?
-- answers: One row per action whose approval was recorded at a later time than its outcome, by the sources' own clocks; `recorded_late` says whether it came into the log in that order too.
-- group: approval
-- standard: EU AI Act, Article 14
-- param since: timestamp, default 1970-01-01T00:00:00Z. Only what happened from then on.
-- columns: done_time, approved_time, seconds (from the outcome until the approval), recorded_late, agent, tool_name, resource_id, approver, approver_commitment, action_id, submitter, done_seq, approval_seq, seq

WITH stage AS (
    SELECT
        submitter, action_id, min("time") FILTER (outcome_status IN ('success', 'failure', 'timeout', 'unknown')) AS done_time,
        min(seq) FILTER (outcome_status IN ('success', 'failure', 'timeout', 'unknown')) AS done_seq,
        min("time") FILTER (approval_outcome = 'approved') AS approved_time, min(seq) FILTER (approval_outcome = 'approved') AS approval_seq
    FROM records
    WHERE action_id IS NOT NULL AND (outcome_status IS NOT NULL OR approval_outcome IS NOT NULL)
    GROUP BY submitter, action_id
    HAVING approved_time > done_time
)
SELECT
    done_time, approved_time, epoch(approved_time) - epoch(done_time) AS seconds, approval_seq > done_seq AS recorded_late,
    coalesce(identity_agent_id, identity_agent_name) AS agent, tool_name, coalesce(resource_id, resource_name, resource_destination) AS resource_id,
    approval_approver AS approver, approval_approver_commitment AS approver_commitment, stage.action_id, stage.submitter, done_seq, approval_seq, seq
FROM stage JOIN actions ON actions.submitter = stage.submitter AND actions.action_id = stage.action_id
WHERE done_time >= $since::TIMESTAMPTZ
ORDER BY done_time, seq
