-- view: flows
-- answers: One row per result and later action that it went into, by what the action's record says or because words of its arguments stand in the result. What the user had named is left out; where that is all, named_by_user says so.
-- readers: link = 'derived_from'
-- key: sink_seq
-- column sink_time: TIMESTAMP WITH TIME ZONE. When the action began that used it [CloudEvents time]
-- column link: VARCHAR. derived_from (its record says so) or verbatim (the words are the same) [PROV wasDerivedFrom]
-- column carried: VARCHAR[] content. The words, as they stand in the action's arguments, longest first; empty where only its record says so
-- column carried_commitment: VARCHAR. The commitment of the arguments that they stand in
-- column paths: VARCHAR[] content. Of each of them the argument: $.mail.to[1]
-- column paths_commitment: VARCHAR. The same as carried_commitment
-- column named_by_user: BOOLEAN. The user had named all of it before
-- column source_tool: VARCHAR. The tool whose result it was [OTel gen_ai.tool.name]
-- column source_effect: VARCHAR. Its effect [OCSF activity]
-- column source_resource_id: VARCHAR argument. What it had read [OCSF resource.uid]
-- column source_resource_id_commitment: VARCHAR. The commitment of its arguments, where what it had read is known from them alone
-- column source_trust: VARCHAR. How far the words of that may be believed
-- column sink_tool: VARCHAR. The tool that got it [OTel gen_ai.tool.name]
-- column sink_effect: VARCHAR. Its effect [OCSF activity]
-- column sink_resource_id: VARCHAR argument. What it acted on [OCSF resource.uid]
-- column sink_resource_id_commitment: VARCHAR. The commitment of its arguments, where what it acted on is known from them alone
-- column sink_destination: VARCHAR. Where something was sent [OCSF dst_endpoint]
-- column sink_status: VARCHAR. How it ended [OCSF status]
-- column conversation_id: VARCHAR. The conversation of the action that used it [OTel gen_ai.conversation.id]
-- column trace_id: VARCHAR. Its trace [W3C Trace Context trace-id]
-- column submitter: VARCHAR. Who wrote it
-- column source_time: TIMESTAMP WITH TIME ZONE. When the action began whose result it was [CloudEvents time]
-- column source_seq: UBIGINT. Its row in `actions`
-- column sink_seq: UBIGINT. The row in `actions` of the one that used it

SELECT
    sink."time" AS sink_time, CASE WHEN declared.sink_seq IS NOT NULL THEN 'derived_from' ELSE 'verbatim' END AS link,
    coalesce(carried, []) AS carried, sink.tool_arguments_commitment AS carried_commitment,
    coalesce(paths, []) AS paths, sink.tool_arguments_commitment AS paths_commitment, coalesce(named_by_user, FALSE) AS named_by_user,
    source.tool_name AS source_tool, source.tool_effect AS source_effect, source.resource_id AS source_resource_id,
    CASE WHEN source.joined_by.resource = 'arguments' THEN source.tool_arguments_commitment END AS source_resource_id_commitment, source.resource_trust AS source_trust,
    sink.tool_name AS sink_tool, sink.tool_effect AS sink_effect, sink.resource_id AS sink_resource_id,
    CASE WHEN sink.joined_by.resource = 'arguments' THEN sink.tool_arguments_commitment END AS sink_resource_id_commitment, sink.resource_destination AS sink_destination,
    sink.outcome_status AS sink_status, sink.request_conversation_id AS conversation_id, sink.trace_trace_id AS trace_id, sink.submitter,
    source."time" AS source_time, source_seq, sink_seq
FROM live.flow FULL JOIN live.flow_declared declared USING (source_seq, sink_seq)
JOIN actions source ON source.seq = source_seq
JOIN actions sink ON sink.seq = sink_seq;
