-- The join, 1 of 8: what each record says, in few columns, and where it stands in its trace.
--
-- The join makes `actions`, one row per tool call, of `records` (schemas/projection.sql); docs/queries.md says by which rules. Its stages
-- are tables in the schema `live`, made anew in the order of these files and then of schemas/views.sql. Two things hold in all of them:
-- nothing is joined across submitters but in `both_sides`, since ids are a sender's own words; and `n`, a record's place in time, decides
-- and not `seq`, so that the same records give the same rows in whatever order and batches they came.
CREATE SCHEMA IF NOT EXISTS live;

-- Arguments as a digest, whatever the order of their members and whether a number came as text. An only argument counts as its value alone,
-- because some libraries give no more. NULL: not known.
CREATE OR REPLACE MACRO live.digest(arguments) AS CASE WHEN json_valid(arguments) THEN sha256(list_transform(
    [CASE WHEN json_type(arguments) = 'OBJECT' THEN map_entries(TRY_CAST(arguments::JSON AS MAP(VARCHAR, JSON))) END],
    lambda members: CASE
        WHEN len(members) = 1 THEN coalesce(json_extract_string(members[1].value, '$'), 'null')
        WHEN members IS NOT NULL THEN array_to_string(list_sort(list_transform(members, lambda m: json_array(m.key, json_extract_string(m.value, '$')))), '')
        ELSE coalesce(json_extract_string(arguments, '$'), '') END)[1]) END;

-- kind, part, lib and side are what the OTLP dialect says of the span a record was made of (ledger/ingest/otlp): nobody else can write under
-- an id that begins with `ledger:`. `made_id` is such an id without the version that a contradicting copy gets. `role` is what a record is
-- to a call:
--   asked   a model's output names the call          echo    something later, or an agent's summary, tells of it again
--   ran     the span of its execution                mcp     one of its two sides on the wire
--   result  what came of it, told elsewhere          policy  a policy engine's event about it
--   sdk     a record of type action or a stage of it, by somebody who knew what it is about
CREATE OR REPLACE TABLE live.fact AS
WITH said AS (
    SELECT
        seq, submitter, "time", "type", action_id, tool_call_id AS call_id, tool_name AS name, tool_protocol AS protocol, outcome_status, policy_effect,
        trace_trace_id AS trace_id, trace_span_id AS span_id, trace_parent_span_id AS parent_span_id,
        request_conversation_id AS conversation_id, request_turn_id AS turn_id,
        identity_agent_instance_id AS instance, decision_response_id AS response_id,
        CASE WHEN starts_with(id, 'ledger:') THEN json_extract_string(ext, ['$."otel.kind"', '$."otel.part"', '$."otel.scope"', '$."otel.span_kind"']) END AS otel,
        CASE WHEN starts_with(id, 'ledger:') THEN regexp_replace(id, '~[0-9]+$', '') END AS made_id,
        "type" = 'action' AS whole,
        coalesce(request_user_commitment, request_text_commitment, request_origin) IS NOT NULL AS request,
        coalesce(decision_provider, decision_request_model, decision_response_model, decision_response_id, decision_finish_reason,
            decision_prompt_commitment, decision_output_commitment, decision_reason_commitment) IS NOT NULL AS decision,
        coalesce(tool_name, tool_type, tool_operation, tool_effect, tool_server, tool_arguments_commitment) IS NOT NULL AS tool,
        coalesce(identity_agent_id, identity_agent_name, identity_workload, identity_client_id) IS NOT NULL
            OR identity_credential IS NOT NULL OR identity_actors IS NOT NULL AS agent,
        identity_principal_commitment IS NOT NULL AS principal,
        coalesce(resource_type, resource_id, resource_name, resource_tenant, resource_destination) IS NOT NULL AS resource,
        coalesce(policy_effect, policy_engine, policy_id) IS NOT NULL AS policy,
        coalesce(approval_id, approval_outcome, approval_approver_commitment) IS NOT NULL AS approval,
        coalesce(outcome_status, outcome_error_type, outcome_result_commitment) IS NOT NULL AS outcome,
        decision_output_commitment IS NOT NULL AS output,
        json_extract_string(absent, ['$.request', '$.decision', '$.tool', '$.identity', '$.resource']) AS reason
    FROM live.records
)
SELECT
    row_number() OVER (ORDER BY "time", coalesce(made_id, ''), seq) AS n, * EXCLUDE (otel, reason),
    otel[1] AS kind, otel[2] AS part, otel[3] AS lib, otel[4] AS side,
    reason[1] IS NOT NULL AS no_request, reason[2] IS NOT NULL AS no_decision, reason[3] IS NOT NULL AS no_tool,
    reason[4] IS NOT NULL AS no_identity, reason[5] IS NOT NULL AS no_resource,
    CASE
        WHEN kind IS NOT NULL AND "type" = 'action.intent' AND kind <> 'agent' AND NOT starts_with(part, 'told') THEN 'asked'
        WHEN kind IS NOT NULL AND "type" = 'action.intent' THEN 'echo'
        WHEN kind = 'mcp' AND "type" = 'action' THEN 'mcp'
        WHEN kind IS NOT NULL AND "type" = 'action' THEN 'ran'
        WHEN kind IS NOT NULL AND "type" = 'action.outcome' AND action_id IS NULL THEN 'result'
        WHEN made_id IS NOT NULL AND "type" = 'action.decision' AND coalesce(action_id, call_id) IS NULL THEN 'policy'
        WHEN "type" = 'action' OR starts_with("type", 'action.') OR ("type" = 'decision' AND coalesce(name, call_id) IS NOT NULL) THEN 'sdk'
        END AS role
FROM said;

-- Spans, numbered. Climbing from one to those above it goes through what has no kind of its own, and stops at an agent or a model call.
CREATE OR REPLACE TABLE live.span AS
WITH span AS (
    SELECT
        submitter, trace_id, span_id, arg_min(parent_span_id, n) AS parent_span_id, row_number() OVER (ORDER BY min(n)) AS sid, CASE
            WHEN bool_or(coalesce(role IN ('ran', 'sdk'), FALSE)) THEN 'call'
            WHEN bool_or(coalesce(role = 'mcp', FALSE)) THEN 'mcp'
            WHEN bool_or("type" IN ('decision', 'agent.run')) THEN 'stop'
            ELSE 'through' END AS climb
    FROM live.fact
    WHERE trace_id IS NOT NULL AND span_id IS NOT NULL
    GROUP BY submitter, trace_id, span_id
)
SELECT span.*, above.sid AS parent_sid
FROM span LEFT JOIN span above
    ON above.submitter = span.submitter AND above.trace_id = span.trace_id AND above.span_id = span.parent_span_id;

-- Every span with each span above it; at most 32 steps, or a trace that somebody made long would be joined with itself.
CREATE OR REPLACE TABLE live.above AS
WITH RECURSIVE above AS (
    SELECT sid, parent_sid AS up, 1 AS distance FROM live.span WHERE parent_sid IS NOT NULL
    UNION ALL
    SELECT above.sid, span.parent_sid, distance + 1
    FROM above JOIN live.span ON span.sid = up
    WHERE distance < 32 AND span.parent_sid IS NOT NULL AND span.parent_sid <> above.sid
)
SELECT above.*, span.climb FROM above JOIN live.span ON span.sid = up;

-- The conversation that a trace belongs to, where its records name exactly one: spans that name none are counted with it.
CREATE OR REPLACE TABLE live.conversation AS
SELECT submitter, trace_id, min(conversation_id) AS conversation_id
FROM live.fact
WHERE trace_id IS NOT NULL
GROUP BY submitter, trace_id
HAVING min(conversation_id) = max(conversation_id) AND count(conversation_id) < count(*);
