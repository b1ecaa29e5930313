-- view: sessions
-- answers: One row per conversation and submitter, or per trace where nothing names a conversation: when, who, with what, and what came of it.
-- key: submitter, session_id
-- column submitter: VARCHAR. Who wrote its records: the credential, as the log knows it [OCSF metadata.logged_by]
-- column session_id: VARCHAR. The conversation's id, else the trace's [OTel gen_ai.conversation.id]
-- column kind: VARCHAR. conversation or trace
-- column first_time: TIMESTAMP WITH TIME ZONE. The earliest time of its records, by their sources' clocks [CloudEvents time]
-- column last_time: TIMESTAMP WITH TIME ZONE. The latest one
-- column records: BIGINT. Entries of the log that belong to it
-- column first_seq: UBIGINT. The first of them in the log
-- column last_seq: UBIGINT. The last of them in the log
-- column users: VARCHAR[] person. Who asked [OTel user.id]
-- column users_commitment: VARCHAR[]. The commitments of those who asked, forgotten ones too
-- column request_text: VARCHAR content. The first words of a user in it [OTel gen_ai.input.messages]
-- column request_text_commitment: VARCHAR. Their commitment
-- column actions: BIGINT. Rows of `actions`
-- column agents: VARCHAR[]. Agents that acted: their ids, else their names [OTel gen_ai.agent.id]
-- column tools: VARCHAR[]. Tools that were called [OTel gen_ai.tool.name]
-- column models: VARCHAR[]. Models that decided [OTel gen_ai.response.model]
-- column denied: BIGINT. Actions that a record says were denied or rejected: by policy, by a person, or by what they were done to [OCSF status]
-- column failed: BIGINT. Actions that ended in failure or timeout [OCSF status]
-- column not_observed: BIGINT. Actions of which nobody saw an outcome
-- column untrusted_reads: BIGINT. Results of external trust that came into the agent's context (`resource.trust`)
-- column first_untrusted_time: TIMESTAMP WITH TIME ZONE. When the first of these came
-- column consequences: BIGINT. Actions seen done that pay, send, delete or delegate (`tool.effect`)
-- column consequences_after_untrusted: BIGINT. Those of them that came after the first untrusted result

WITH
-- The conversation that a trace belongs to, where its records name exactly one: spans that name none are counted with it.
conversation AS (
    SELECT submitter, trace_trace_id AS trace_id, min(request_conversation_id) AS conversation_id
    FROM viewed.records
    WHERE trace_trace_id IS NOT NULL
    GROUP BY submitter, trace_trace_id
    HAVING min(request_conversation_id) = max(request_conversation_id) AND count(request_conversation_id) < count(*)
),
told AS (
    SELECT
        records.submitter, coalesce(request_conversation_id, conversation_id, trace_trace_id) AS session_id,
        coalesce(request_conversation_id, conversation_id) IS NOT NULL AS named, seq, "time",
        request_user, request_user_commitment, request_text_commitment
    FROM viewed.records
    LEFT JOIN conversation ON conversation.submitter = records.submitter AND conversation.trace_id = records.trace_trace_id
        AND request_conversation_id IS NULL
    WHERE coalesce(request_conversation_id, trace_trace_id) IS NOT NULL
),
session AS (
    SELECT
        submitter, session_id, CASE WHEN bool_or(named) THEN 'conversation' ELSE 'trace' END AS kind,
        min("time") AS first_time, max("time") AS last_time, count(*) AS records, min(seq) AS first_seq, max(seq) AS last_seq,
        coalesce(list_sort(list(DISTINCT request_user) FILTER (request_user IS NOT NULL)), []) AS users,
        coalesce(list_sort(list(DISTINCT request_user_commitment) FILTER (request_user_commitment IS NOT NULL)), []) AS users_commitment,
        arg_min(seq, ("time", seq)) FILTER (request_text_commitment IS NOT NULL) AS asked_in
    FROM told
    GROUP BY submitter, session_id
),
act AS (
    SELECT
        submitter, session_id, "time", seq, coalesce(identity_agent_id, identity_agent_name) AS agent, tool_name,
        coalesce(decision_response_model, decision_request_model) AS model,
        coalesce(policy_effect = 'deny' OR outcome_status = 'denied' OR approval_outcome = 'rejected', FALSE) AS denied,
        outcome_status, execution,
        coalesce(resource_trust IN ('external', 'external_content') AND outcome_result_commitment IS NOT NULL, FALSE) AS untrusted,
        coalesce(tool_effect IN ('pay', 'send', 'delete', 'delegate') AND execution = 'observed', FALSE) AS consequence
    FROM viewed.actions
    WHERE session_id IS NOT NULL
),
exposed AS (
    SELECT submitter, session_id, min("time") AS first_untrusted_time, min(("time", seq)) AS place
    FROM act WHERE untrusted
    GROUP BY submitter, session_id
),
done AS (
    SELECT
        act.submitter, act.session_id, count(*) AS actions,
        coalesce(list_sort(list(DISTINCT agent) FILTER (agent IS NOT NULL)), []) AS agents,
        coalesce(list_sort(list(DISTINCT tool_name) FILTER (tool_name IS NOT NULL)), []) AS tools,
        coalesce(list_sort(list(DISTINCT model) FILTER (model IS NOT NULL)), []) AS models,
        count(*) FILTER (denied) AS denied, count(*) FILTER (outcome_status IN ('failure', 'timeout')) AS failed,
        count(*) FILTER (execution = 'not_observed') AS not_observed, count(*) FILTER (untrusted) AS untrusted_reads,
        any_value(first_untrusted_time) AS first_untrusted_time, count(*) FILTER (consequence) AS consequences,
        count(*) FILTER (consequence AND ("time", seq) > place) AS consequences_after_untrusted
    FROM act LEFT JOIN exposed ON exposed.submitter = act.submitter AND exposed.session_id = act.session_id
    GROUP BY act.submitter, act.session_id
)
SELECT
    session.* EXCLUDE (asked_in), records.request_text, records.request_text_commitment,
    coalesce(actions, 0) AS actions, coalesce(agents, []) AS agents, coalesce(tools, []) AS tools, coalesce(models, []) AS models,
    coalesce(denied, 0) AS denied, coalesce(failed, 0) AS failed, coalesce(not_observed, 0) AS not_observed,
    coalesce(untrusted_reads, 0) AS untrusted_reads, first_untrusted_time,
    coalesce(consequences, 0) AS consequences, coalesce(consequences_after_untrusted, 0) AS consequences_after_untrusted
FROM session
LEFT JOIN done ON done.submitter = session.submitter AND done.session_id = session.session_id
LEFT JOIN viewed.records ON records.seq = asked_in
