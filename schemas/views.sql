-- `actions`: one row per action, from `records` (schemas/projection.sql). docs/queries.md says what its columns mean.
--
-- An action's own records are those of type `action` and its stages `action.*`, and a `decision` about one named call. They belong
-- together by action_id; one without it, by call_id within the same trace or conversation. What the action lacks of request, decision
-- and identity is filled in, one facet from one other record, by the first rule that finds it: the decision whose output names the call;
-- the parent span; the sibling span before it; the conversation before it. Nothing is joined across submitters, who could otherwise
-- put words into each other's records. Order of arrival does not matter: times do.
CREATE VIEW actions AS
WITH
fact AS (
    SELECT
        seq, submitter, "time", "type", action_id, tool_call_id AS call_id, outcome_status, policy_effect,
        trace_trace_id AS trace_id, trace_span_id AS span_id, trace_parent_span_id AS parent_span_id,
        request_conversation_id AS conversation_id, request_turn_id AS turn_id,
        "type" = 'action' AS whole,
        "type" = 'action' OR starts_with("type", 'action.') OR ("type" = 'decision' AND coalesce(tool_name, tool_call_id) IS NOT NULL) AS own,
        coalesce(request_user_commitment, request_text_commitment, request_origin) IS NOT NULL AS request,
        coalesce(decision_provider, decision_request_model, decision_response_model, decision_response_id, decision_finish_reason,
            decision_prompt_commitment, decision_output_commitment, decision_reason_commitment) IS NOT NULL AS decision,
        coalesce(tool_name, tool_type, tool_operation, tool_effect, tool_server, tool_arguments_commitment) IS NOT NULL AS tool,
        coalesce(identity_agent_id, identity_agent_name, identity_agent_instance_id, identity_workload, identity_principal_commitment,
            identity_client_id) IS NOT NULL OR identity_credential IS NOT NULL OR identity_actors IS NOT NULL AS identity,
        coalesce(resource_type, resource_id, resource_name, resource_tenant, resource_destination) IS NOT NULL AS resource,
        coalesce(policy_effect, policy_engine, policy_id) IS NOT NULL AS policy,
        coalesce(approval_id, approval_outcome, approval_approver_commitment) IS NOT NULL AS approval,
        coalesce(outcome_status, outcome_error_type, outcome_result_commitment) IS NOT NULL AS outcome,
        absent IS NOT NULL AND absent->>'request' IS NOT NULL AS no_request,
        absent IS NOT NULL AND absent->>'decision' IS NOT NULL AS no_decision,
        absent IS NOT NULL AND absent->>'tool' IS NOT NULL AS no_tool,
        absent IS NOT NULL AND absent->>'identity' IS NOT NULL AS no_identity,
        absent IS NOT NULL AND absent->>'resource' IS NOT NULL AS no_resource
    FROM records
),

-- 1. Which own records are one action ---------------------------------------------------------------------------------
known AS (  -- the action_id of a call, where a trace or conversation tells it without contradiction
    SELECT submitter, call_id, scope, any_value(action_id) AS known_id
    FROM (
        SELECT submitter, call_id, action_id, unnest(['t:' || trace_id, 'c:' || conversation_id]) AS scope
        FROM fact WHERE own AND action_id IS NOT NULL AND call_id IS NOT NULL
    )
    WHERE scope IS NOT NULL
    GROUP BY submitter, call_id, scope
    HAVING count(DISTINCT action_id) = 1
),
told AS (
    SELECT fact.*, coalesce(fact.action_id, by_trace.known_id, by_conversation.known_id) AS told_id
    FROM fact
    LEFT JOIN known by_trace ON fact.action_id IS NULL AND by_trace.submitter = fact.submitter
        AND by_trace.call_id = fact.call_id AND by_trace.scope = 't:' || fact.trace_id
    LEFT JOIN known by_conversation ON fact.action_id IS NULL AND by_conversation.submitter = fact.submitter
        AND by_conversation.call_id = fact.call_id AND by_conversation.scope = 'c:' || fact.conversation_id
    WHERE own
),
called AS (  -- the smallest seq that a call without action_id shares with others in its trace or its conversation
    SELECT *, least(
        CASE WHEN trace_id IS NOT NULL THEN min(seq) OVER (PARTITION BY submitter, call_id, trace_id) END,
        CASE WHEN conversation_id IS NOT NULL THEN min(seq) OVER (PARTITION BY submitter, call_id, conversation_id) END,
        seq) AS near
    FROM told WHERE told_id IS NULL AND call_id IS NOT NULL
),
grouped AS (
    SELECT *, min(seq) OVER (PARTITION BY submitter, told_id) AS first_of FROM told WHERE told_id IS NOT NULL
    UNION ALL  -- once more, because one record may share its trace with a second and its conversation with a third
    SELECT * EXCLUDE (near), least(
        CASE WHEN trace_id IS NOT NULL THEN min(near) OVER (PARTITION BY submitter, call_id, trace_id) END,
        CASE WHEN conversation_id IS NOT NULL THEN min(near) OVER (PARTITION BY submitter, call_id, conversation_id) END,
        near)
    FROM called
    UNION ALL
    SELECT *, seq FROM told WHERE told_id IS NULL AND call_id IS NULL
),
member AS (  -- a model may use a call_id twice: two whole actions are two rows, unless they say themselves that they are one
    SELECT *, CASE
        WHEN whole AND action_id IS NULL AND count(*) FILTER (whole) OVER (PARTITION BY first_of) > 1 THEN -1 - seq::BIGINT
        ELSE first_of::BIGINT END AS action
    FROM grouped
),
ruled AS MATERIALIZED (
    SELECT *, CASE
        WHEN seq = min(seq) OVER (PARTITION BY action) THEN 'record'
        WHEN action_id IS NOT NULL THEN 'action_id'
        ELSE 'call_id' END AS rule
    FROM member
),
action AS MATERIALIZED (
    SELECT
        action, min(seq) AS first_seq, max(seq) AS last_seq, count(*) AS records,
        list("type" ORDER BY seq) AS stages, max("time") AS ended,
        arg_min(rule, seq) FILTER (request) AS request, arg_min(rule, seq) FILTER (decision) AS decision,
        arg_min(rule, seq) FILTER (tool) AS tool, arg_min(rule, seq) FILTER (identity) AS identity,
        arg_min(rule, seq) FILTER (resource) AS resource, arg_max(rule, seq) FILTER (policy) AS policy,
        arg_max(rule, seq) FILTER (approval) AS approval, arg_max(rule, seq) FILTER (outcome) AS outcome,
        max(seq) FILTER (policy) AS at_policy, max(seq) FILTER (approval) AS at_approval, max(seq) FILTER (outcome) AS at_outcome,
        bool_or(no_request) AS no_request, bool_or(no_decision) AS no_decision, bool_or(no_tool) AS no_tool,
        bool_or(no_identity) AS no_identity, bool_or(no_resource) AS no_resource,
        arg_max(outcome_status, seq) AS outcome_status,
        bool_or(whole AND outcome_status IS NULL AND coalesce(policy_effect, 'allow') IN ('allow', 'not_evaluated')) AS told_whole
    FROM ruled
    GROUP BY action
),

-- 2. Who fills in what is lacking -------------------------------------------------------------------------------------
need AS (
    SELECT action, ruled.submitter, ended, call_id, trace_id, parent_span_id, conversation_id, turn_id, unnest(list_filter([
        CASE WHEN action.request IS NULL AND NOT action.no_request THEN 'request' END,
        CASE WHEN action.decision IS NULL AND NOT action.no_decision THEN 'decision' END,
        CASE WHEN action.identity IS NULL AND NOT action.no_identity THEN 'identity' END], lambda f: f IS NOT NULL)) AS facet
    FROM ruled JOIN action USING (action)
    WHERE coalesce(trace_id, conversation_id) IS NOT NULL
),
offer AS (
    SELECT seq, submitter, "time", trace_id, span_id, parent_span_id, conversation_id, turn_id, unnest(list_filter([
        CASE WHEN request THEN 'request' END, CASE WHEN decision THEN 'decision' END,
        CASE WHEN identity THEN 'identity' END], lambda f: f IS NOT NULL)) AS facet
    FROM fact
    WHERE NOT own AND submitter <> 'log'
),
named AS (  -- the calls that a decision's output names, whatever the shape of its JSON
    SELECT DISTINCT seq, submitter, trace_trace_id AS trace_id, request_conversation_id AS conversation_id, unnest(regexp_extract_all(
        decision_output, '"(?:id|call_id|callId|tool_call_id|toolUseId)"\s*:\s*"([^"\\]+)"', 1)) AS call_id
    FROM records
    WHERE decision_output IS NOT NULL
),
-- Of all that one rule could take, one is best whoever asks: it is chosen before the join, or many alike would be joined with many alike.
named_best AS (
    SELECT submitter, facet, call_id, scope, arg_min({'seq': seq, 'time': "time"}, (-epoch_us("time"), seq)) AS best
    FROM (
        SELECT named.submitter, named.call_id, offer.facet, offer.seq, offer."time",
            unnest(['t:' || named.trace_id, 'c:' || named.conversation_id]) AS scope
        FROM named JOIN offer ON offer.seq = named.seq
    )
    WHERE scope IS NOT NULL
    GROUP BY submitter, facet, call_id, scope
),
span_best AS (
    SELECT submitter, facet, trace_id, span_id, arg_min({'seq': seq, 'time': "time"}, (-epoch_us("time"), seq)) AS best
    FROM offer
    WHERE trace_id IS NOT NULL AND span_id IS NOT NULL
    GROUP BY submitter, facet, trace_id, span_id
),
found AS (
    SELECT need.action, need.facet, best.seq, best."time", 1 AS priority, 'named_by_decision' AS rule
    FROM (SELECT *, unnest(['t:' || trace_id, 'c:' || conversation_id]) AS scope FROM need) need
    JOIN named_best USING (submitter, facet, call_id, scope)
    UNION ALL
    SELECT need.action, need.facet, best.seq, best."time", 2, 'spans'
    FROM need JOIN span_best ON span_best.submitter = need.submitter AND span_best.facet = need.facet
        AND span_best.trace_id = need.trace_id AND span_best.span_id = need.parent_span_id
    UNION ALL
    SELECT need.action, need.facet, offer.seq, offer."time", 3, 'spans'
    FROM need ASOF JOIN offer ON offer.submitter = need.submitter AND offer.facet = need.facet
        AND offer.trace_id = need.trace_id AND offer.parent_span_id = need.parent_span_id AND need.ended >= offer."time"
    UNION ALL
    SELECT need.action, need.facet, offer.seq, offer."time", 4, 'conversation'
    FROM need ASOF JOIN offer ON offer.submitter = need.submitter AND offer.facet = need.facet
        AND offer.conversation_id = need.conversation_id AND need.ended >= offer."time"
    WHERE need.turn_id IS NULL OR offer.turn_id IS NULL OR need.turn_id = offer.turn_id
),
filled AS MATERIALIZED (
    SELECT action, facet, arg_min({'seq': seq, 'rule': rule}, (priority, -epoch_us("time"), seq)) AS "from"
    FROM found
    GROUP BY action, facet
),

-- 3. One row each -----------------------------------------------------------------------------------------------------
filler AS (
    SELECT action, any_value("from".rule) FILTER (facet = 'request') AS request,
        any_value("from".rule) FILTER (facet = 'decision') AS decision, any_value("from".rule) FILTER (facet = 'identity') AS identity
    FROM filled
    GROUP BY action
),
judged AS MATERIALIZED (
    SELECT action.action, at_policy, at_approval, at_outcome, first_seq, last_seq, stages, records = 1 AND filler.action IS NULL AS alone,
        {
            'request': coalesce(action.request, filler.request), 'decision': coalesce(action.decision, filler.decision), 'tool': tool,
            'identity': coalesce(action.identity, filler.identity), 'resource': resource,
            'policy': policy, 'approval': approval, 'outcome': outcome
        } AS joined_by,
        list_filter([
            CASE WHEN coalesce(action.request, filler.request) IS NULL AND NOT no_request THEN 'request' END,
            CASE WHEN coalesce(action.decision, filler.decision) IS NULL AND NOT no_decision THEN 'decision' END,
            CASE WHEN tool IS NULL AND NOT no_tool THEN 'tool' END,
            CASE WHEN coalesce(action.identity, filler.identity) IS NULL AND NOT no_identity THEN 'identity' END,
            CASE WHEN resource IS NULL AND NOT no_resource THEN 'resource' END], lambda f: f IS NOT NULL) AS facets_missing,
        CASE WHEN outcome_status IN ('success', 'failure', 'timeout', 'unknown') OR told_whole THEN 'observed' ELSE 'not_observed' END AS execution
    FROM action LEFT JOIN filler USING (action)
),
piece AS (  -- an action's own records in order, and after them what fills it in
    SELECT action, seq, seq AS place, 'own' AS part FROM ruled WHERE action IN (SELECT action FROM judged WHERE NOT alone)
    UNION ALL
    SELECT action, "from".seq, 9223372036854775807, facet FROM filled
),
own_part AS (
    SELECT action, arg_min(COLUMNS('^(leaf_hash|recorded_at|submitter|type|time|id|action_id|absent|ext)$|^(source|tool|resource|trace)_'), place)
    FROM piece JOIN records USING (seq) WHERE part = 'own' GROUP BY action
),
request_part AS (
    SELECT action, arg_min(COLUMNS('^request_'), place) FROM piece JOIN records USING (seq) WHERE part IN ('own', 'request') GROUP BY action
),
decision_part AS (
    SELECT action, arg_min(COLUMNS('^decision_'), place) FROM piece JOIN records USING (seq) WHERE part IN ('own', 'decision') GROUP BY action
),
identity_part AS (
    SELECT action, arg_min(COLUMNS('^identity_'), place) FROM piece JOIN records USING (seq) WHERE part IN ('own', 'identity') GROUP BY action
),
-- What may be said twice, and change, is taken whole from the last record that says it.
policy_part AS (SELECT action, COLUMNS('^policy_') FROM judged JOIN records ON seq = at_policy),
approval_part AS (SELECT action, COLUMNS('^approval_') FROM judged JOIN records ON seq = at_approval),
outcome_part AS (SELECT action, COLUMNS('^outcome_') FROM judged JOIN records ON seq = at_outcome)
SELECT records.* EXCLUDE (facets_missing), judged.* EXCLUDE (action, alone, at_policy, at_approval, at_outcome)
FROM records JOIN judged ON judged.first_seq = records.seq
WHERE alone
UNION ALL BY NAME
SELECT first_seq AS seq, own_part.* EXCLUDE (action), request_part.* EXCLUDE (action), decision_part.* EXCLUDE (action),
    identity_part.* EXCLUDE (action), policy_part.* EXCLUDE (action), approval_part.* EXCLUDE (action), outcome_part.* EXCLUDE (action),
    judged.* EXCLUDE (action, alone, at_policy, at_approval, at_outcome)
FROM judged
JOIN own_part USING (action) JOIN request_part USING (action) JOIN decision_part USING (action) JOIN identity_part USING (action)
LEFT JOIN policy_part USING (action) LEFT JOIN approval_part USING (action) LEFT JOIN outcome_part USING (action);
