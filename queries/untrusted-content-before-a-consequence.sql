-- title: Which payments, messages and deletions came after untrusted content in the same conversation?
-- answers: One row per consequence and untrusted result that went into it, by what links them: derived_from (its record says so) or verbatim (words of the result that the user had not said are in its arguments); where nothing does, one row with the latest such result before it, by order alone. Order is a lead, not a finding.
-- group: injection
-- standard: OWASP LLM01
-- param only_linked: boolean, default false. Leave out what only order links.
-- param since: timestamp, default 1970-01-01T00:00:00Z. Only consequences from then on.
-- columns: time, tool_name, tool_effect, resource_id, outcome_status, link, carried (the words), source_tool, source_resource_id, source_trust, source_seq, seq

WITH step AS (
    SELECT
        "time", seq, submitter, coalesce(session_id, id) AS session_id, tool_name, tool_effect,
        coalesce(resource_id, resource_destination) AS resource_id, outcome_status,
        CASE WHEN resource_trust IN ('external', 'external_content') AND outcome_result_commitment IS NOT NULL
            THEN {'tool': tool_name, 'resource': resource_id, 'trust': resource_trust, 'seq': seq} END AS untrusted
    FROM actions
    WHERE tool_effect IN ('pay', 'send', 'delete', 'delegate') OR resource_trust IN ('external', 'external_content')
),
seen AS (
    SELECT *, last_value(untrusted IGNORE NULLS) OVER (
        PARTITION BY submitter, session_id ORDER BY "time", seq ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS latest
    FROM step
),
linked AS (
    SELECT * FROM flows WHERE source_trust IN ('external', 'external_content') AND (link = 'derived_from' OR NOT named_by_user)
)
SELECT
    "time", tool_name, tool_effect, resource_id, outcome_status, coalesce(link, 'order') AS link, coalesce(carried, []) AS carried,
    CASE WHEN link IS NULL THEN latest.tool ELSE source_tool END AS source_tool,
    CASE WHEN link IS NULL THEN latest.resource ELSE source_resource_id END AS source_resource_id,
    CASE WHEN link IS NULL THEN latest.trust ELSE source_trust END AS source_trust, coalesce(source_seq, latest.seq) AS source_seq, seq
FROM seen LEFT JOIN linked ON sink_seq = seq
WHERE tool_effect IN ('pay', 'send', 'delete', 'delegate') AND "time" >= $since::TIMESTAMPTZ
    AND (link IS NOT NULL OR (latest IS NOT NULL AND NOT $only_linked))
ORDER BY "time", seq, link, source_seq
