-- title: What did the agent read before it first acted on this resource?
-- answers: The tool results that were in the agent's context, newest first, with the words that reappear in what it then did and that the user had not said. That a result was read does not show that it was obeyed.
-- group: injection
-- standard: OWASP ASI01
-- param resource_id: text, required. The resource acted on.
-- param minutes: integer, default 60. How far back to look.
-- columns: time, tool_name, resource_id, trust, carried (words of 8 characters and more that reappear in the arguments), acted_with (the tool of the first act), seq, act_seq

WITH act AS (
    SELECT * FROM actions
    WHERE (resource_id = $resource_id OR resource_name = $resource_id OR resource_destination = $resource_id)
        AND tool_effect IS DISTINCT FROM 'read'
    ORDER BY "time", seq
    LIMIT 1
)
SELECT
    result."time", result.tool_name, result.resource_id, result.resource_trust AS trust,
    list_sort(list_filter(
        list_intersect(
            regexp_extract_all(result.outcome_result, '[\w@./:+-]{8,}'),
            regexp_extract_all(act.tool_arguments, '[\w@./:+-]{8,}')),
        lambda word: NOT contains(coalesce(act.request_text, ''), word))) AS carried,
    act.tool_name AS acted_with, result.seq, act.seq AS act_seq
FROM act JOIN actions result
    ON result.submitter = act.submitter
    AND (result.request_conversation_id = act.request_conversation_id OR result.trace_trace_id = act.trace_trace_id)
WHERE result.outcome_result IS NOT NULL
    AND (result."time", result.seq) < (act."time", act.seq)
    AND result."time" >= act."time" - to_minutes($minutes::BIGINT)
ORDER BY result."time" DESC, result.seq DESC
