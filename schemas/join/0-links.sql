-- The join, 0 of 6: by what a record may be joined with others, as hashes. Records are joined again with all that is reached from them:
-- from each `seeks` to every record whose `found` is the same, and on from there. Whatever a later stage compares across records has to be
-- a link here, or stands within one (everything in a trace or a conversation does).
--
-- Parameters: the records [$start, $end).
WITH said AS (
    SELECT
        seq, submitter, id, "type", action_id, tool_call_id AS call_id, tool_name AS name, trace_trace_id AS trace_id,
        request_conversation_id AS conversation_id, decision_response_id AS response_id, identity_agent_instance_id AS instance,
        trace_derived_from, starts_with(id, 'ledger:') AS telemetry, decision_output_commitment IS NOT NULL AS output,
        CASE WHEN identity_agent_instance_id IS NOT NULL THEN live.digest(tool_arguments) END AS arguments,
        CASE WHEN starts_with(id, 'ledger:') THEN json_extract_string(ext, ['$."otel.kind"', '$."otel.part"']) END AS otel
    FROM stored.records
    WHERE seq >= $start AND seq < $end AND submitter <> 'log'
),
link AS (
    SELECT seq, unnest([
        CASE WHEN action_id IS NOT NULL THEN hash('action', submitter, action_id) END,
        CASE WHEN trace_id IS NOT NULL THEN hash('trace', trace_id) END,  -- whoever sent it: the two sides of a call meet in it
        CASE WHEN conversation_id IS NOT NULL THEN hash('conversation', submitter, conversation_id) END,
        CASE WHEN telemetry THEN hash('made', submitter, regexp_replace(id, '~[0-9]+$', '')) END,
        CASE WHEN call_id IS NOT NULL AND response_id IS NOT NULL THEN hash('answer', submitter, call_id, response_id) END,
        CASE WHEN instance IS NOT NULL AND call_id IS NOT NULL THEN hash('process', submitter, instance, call_id) END,
        CASE WHEN instance IS NOT NULL AND name IS NOT NULL AND arguments IS NOT NULL THEN hash('process', submitter, instance, name, arguments) END,
        CASE WHEN echo AND instance IS NOT NULL THEN hash('echo', submitter, instance) END]) AS found, found AS seeks
    FROM (SELECT *, telemetry AND "type" = 'action.intent' AND (otel[1] = 'agent' OR starts_with(otel[2], 'told')) AS echo FROM said)
    UNION ALL  -- what is said to come from a record may have come before it
    SELECT seq, hash('derived', submitter, unnest(trace_derived_from::VARCHAR[])), NULL FROM said WHERE trace_derived_from IS NOT NULL
    UNION ALL
    SELECT seq, NULL, hash('derived', submitter, unnest([id, action_id])) FROM said WHERE "type" LIKE 'action%' OR "type" = 'decision'
    UNION ALL  -- a model call that tells no output may be what an echo in the same process came from, and the other way round
    SELECT seq, hash('silent', submitter, instance), hash('echo', submitter, instance)
    FROM said WHERE telemetry AND "type" = 'decision' AND instance IS NOT NULL AND NOT output
    UNION ALL
    SELECT seq, NULL, hash('silent', submitter, instance)
    FROM said WHERE telemetry AND "type" = 'action.intent' AND instance IS NOT NULL AND (otel[1] = 'agent' OR starts_with(otel[2], 'told'))
)
SELECT seq, found, seeks FROM link WHERE found IS NOT NULL OR seeks IS NOT NULL
