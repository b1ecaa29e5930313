-- title: Which tool calls carried this text in their arguments, and where did it come from?
-- answers: Every call with the text (an account number, an address, a URL) in its arguments, whether the user had named it, and the first tool result of the same conversation that did. Calls whose arguments were erased or withheld cannot be searched.
-- group: injection
-- standard: MITRE ATLAS AML.T0051
-- param literal: text, required. The text to look for, exactly as it stands in the arguments.
-- param since: timestamp, default 1970-01-01T00:00:00Z. Only what happened from then on.
-- columns: time, tool_name, tool_effect, resource_id, outcome_status, agent, conversation_id, user_named_it (it stands in the user's request), first_seen_in (the tool whose earlier result held it), first_seen_seq, seq

WITH call AS (
    SELECT * FROM actions WHERE contains(tool_arguments, $literal) AND "time" >= $since::TIMESTAMPTZ
),
result AS (
    SELECT submitter, request_conversation_id, trace_trace_id, {'place': ("time", seq), 'tool': tool_name, 'seq': seq} AS told
    FROM actions WHERE contains(outcome_result, $literal)
),
origin AS (  -- two joins, because an OR in one would compare every call with every result
    SELECT seq, min(told) AS earliest
    FROM (
        SELECT call."time", call.seq, told FROM call JOIN result USING (submitter, request_conversation_id)
        UNION ALL
        SELECT call."time", call.seq, told FROM call JOIN result USING (submitter, trace_trace_id)
    )
    WHERE told.place < ("time", seq)
    GROUP BY seq
)
SELECT
    "time", tool_name, tool_effect, coalesce(resource_id, resource_destination) AS resource_id, outcome_status,
    coalesce(identity_agent_id, identity_agent_name) AS agent, request_conversation_id AS conversation_id,
    contains(request_text, $literal) AS user_named_it,
    earliest.tool AS first_seen_in, earliest.seq AS first_seen_seq,
    seq
FROM call LEFT JOIN origin USING (seq)
ORDER BY "time", seq
