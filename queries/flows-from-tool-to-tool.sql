-- title: From which tool's results did words go into which tool's arguments?
-- answers: One row per source tool, its trust, and sink tool: how many results went into how many actions, by what the records say or word for word. What the user had named is left out.
-- group: injection
-- standard: MITRE ATLAS AML.T0051
-- param effects: text, default none. Only sinks with these effects, with commas between them, as pay,send,delete.
-- param untrusted_only: boolean, default false. Only sources of external trust.
-- param since: timestamp, default 1970-01-01T00:00:00Z. Only what was done from then on.
-- columns: source_tool, source_trust, sink_tool, sink_effect, flows, declared (by derived_from), sinks (actions), succeeded (of these), sessions, first_time, last_time, first_source_seq, first_sink_seq

SELECT
    source_tool, source_trust, sink_tool, sink_effect, count(*) AS flows, count(*) FILTER (link = 'derived_from') AS declared,
    count(DISTINCT sink_seq) AS sinks, count(DISTINCT sink_seq) FILTER (sink_status = 'success') AS succeeded,
    count(DISTINCT (submitter, coalesce(conversation_id, trace_id))) AS sessions, min(sink_time) AS first_time, max(sink_time) AS last_time,
    arg_min(source_seq, (sink_time, sink_seq)) AS first_source_seq, arg_min(sink_seq, (sink_time, sink_seq)) AS first_sink_seq
FROM flows
WHERE (NOT named_by_user OR link = 'derived_from') AND sink_time >= $since::TIMESTAMPTZ
    AND ($effects::VARCHAR IS NULL OR list_contains(string_split($effects, ','), sink_effect))
    AND (NOT $untrusted_only OR source_trust IN ('external', 'external_content'))
GROUP BY source_tool, source_trust, sink_tool, sink_effect
ORDER BY flows DESC, source_tool, sink_tool
