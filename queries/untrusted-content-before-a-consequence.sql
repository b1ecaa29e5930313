-- title: Which payments, messages and deletions came after untrusted content in the same conversation?
-- answers: One row per consequence and earlier untrusted result: what links them, strongest first, derived_from (the record says so), words (text reappears that the user had not said), order (it only came before). Order alone is a lead, not a finding.
-- standard: OWASP LLM01
-- param only_linked: boolean, default false. Leave out pairs that only order links.
-- param since: timestamp, default 1970-01-01T00:00:00Z. Only consequences from then on.
-- columns: time, tool_name, tool_effect, resource_id, outcome_status, link, carried (words of 8 characters and more that reappear), source_tool, source_resource_id, source_trust, source_seq, seq

WITH step AS (
    SELECT
        *,
        tool_effect IN ('pay', 'send', 'delete', 'delegate') AS consequence,
        resource_trust IN ('external', 'external_content') AND outcome_result IS NOT NULL AS untrusted
    FROM actions
    WHERE tool_effect IN ('pay', 'send', 'delete', 'delegate') OR resource_trust IN ('external', 'external_content')
),
source AS (
    SELECT *, regexp_extract_all(outcome_result, '[\w@./:+-]{8,}') AS words FROM step WHERE untrusted
),
pair AS (
    SELECT
        sink."time", sink.tool_name, sink.tool_effect, coalesce(sink.resource_id, sink.resource_destination) AS resource_id,
        sink.outcome_status, sink.seq,
        list_sort(list_filter(
            list_intersect(source.words, regexp_extract_all(sink.tool_arguments, '[\w@./:+-]{8,}')),
            lambda word: NOT contains(coalesce(sink.request_text, ''), word))) AS carried,
        list_contains(
            sink.trace_derived_from::VARCHAR[], source.action_id) OR list_contains(sink.trace_derived_from::VARCHAR[], source.id) AS derived,
        source.tool_name AS source_tool, source.resource_id AS source_resource_id, source.resource_trust AS source_trust,
        source.seq AS source_seq
    FROM step sink JOIN source
        ON source.submitter = sink.submitter
        AND (source.request_conversation_id = sink.request_conversation_id OR source.trace_trace_id = sink.trace_trace_id)
        AND (source."time", source.seq) < (sink."time", sink.seq)
    WHERE sink.consequence AND sink."time" >= $since::TIMESTAMPTZ
)
SELECT
    "time", tool_name, tool_effect, resource_id, outcome_status,
    CASE WHEN derived THEN 'derived_from' WHEN len(carried) > 0 THEN 'words' ELSE 'order' END AS link,
    carried, source_tool, source_resource_id, source_trust, source_seq, seq
FROM pair
WHERE NOT $only_linked OR link <> 'order'
ORDER BY "time", seq, link, source_seq
