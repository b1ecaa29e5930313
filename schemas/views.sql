-- `actions`: one row per action, put together from `records` and the stages of schemas/join. docs/queries.md says what its columns mean.
CREATE OR REPLACE VIEW live.actions AS
WITH
-- So many actions are put together at a time that memory stays bounded: those whose first record is in `live.part`.
chosen AS MATERIALIZED (FROM live.action WHERE first_seq >= (SELECT low FROM live.part) AND first_seq < (SELECT high FROM live.part)),
filler AS (
    SELECT action, any_value("from".rule) FILTER (facet = 'request') AS request, any_value("from".rule) FILTER (facet = 'decision') AS decision,
        any_value("from".rule) FILTER (facet = 'agent') AS agent, any_value("from".rule) FILTER (facet = 'principal') AS principal
    FROM live.filled SEMI JOIN chosen USING (action)
    GROUP BY action
),
-- What a dialect's action was done to, where no record says so: the argument that names it, else the MCP server. It is read out of the
-- arguments whenever the join is made, and is gone with them when they are erased.
meant AS (
    SELECT action, arg_min(named, place) FILTER (named IS NOT NULL) AS named, arg_min(server, place) FILTER (server IS NOT NULL) AS server
    FROM (
        SELECT action, place, CASE WHEN tool_protocol = 'mcp' AND tool_server IS NOT NULL THEN ('mcp server', tool_server) END AS server, list_filter(list_zip(
            ['file', 'file', 'file', 'file', 'file', 'file', 'file', 'url', 'url', 'account', 'account', 'account', 'account', 'mailbox', 'mailbox', 'mailbox',
                'table', 'repository', 'repository'],
            json_extract_string(CASE WHEN json_valid(tool_arguments) THEN tool_arguments END, ['$.path', '$.file_path', '$.filepath', '$.filename', '$.file',
                '$.directory', '$.folder', '$.uri', '$.url', '$.to_account', '$.account', '$.account_id', '$.iban', '$.to', '$.recipient', '$.email',
                '$.table', '$.repo', '$.repository'])), lambda r: r[2] <> '')[1] AS named
        FROM live.ruled JOIN live.records USING (seq)
        WHERE action IN (SELECT action FROM chosen WHERE made AND resource IS NULL AND NOT no_resource)
    )
    GROUP BY action
),
joined AS (  -- by which rule each facet is here
    SELECT action.* EXCLUDE (request, decision, resource), coalesce(meant.named, meant.server) AS meant, coalesce(conflicts, []) AS conflicts,
        coalesce(action.request, filler.request) AS request, coalesce(action.decision, filler.decision) AS decision,
        coalesce(action.agent, filler.agent, action.principal, filler.principal) AS identity,
        coalesce(resource, CASE WHEN meant.named IS NOT NULL THEN 'arguments' WHEN meant.server IS NOT NULL THEN 'mcp' END) AS resource,
        records = 1 AND filler.action IS NULL AND coalesce(meant.named, meant.server) IS NULL AS alone
    FROM chosen action LEFT JOIN filler USING (action) LEFT JOIN meant USING (action) LEFT JOIN live.conflict USING (action)
),
judged AS MATERIALIZED (
    SELECT action, at_policy, at_approval, at_outcome, first_seq, last_seq, stages, submitters, conflicts, meant, alone,
        {
            'request': request, 'decision': decision, 'tool': tool, 'identity': identity, 'resource': resource,
            'policy': policy, 'approval': approval, 'outcome': outcome
        } AS joined_by,
        list_filter([
            CASE WHEN request IS NULL AND NOT no_request THEN 'request' END,
            CASE WHEN decision IS NULL AND NOT no_decision THEN 'decision' END,
            CASE WHEN tool IS NULL AND NOT no_tool THEN 'tool' END,
            CASE WHEN identity IS NULL AND NOT no_identity THEN 'identity' END,
            CASE WHEN resource IS NULL AND NOT no_resource THEN 'resource' END], lambda f: f IS NOT NULL) AS facets_missing,
        CASE WHEN outcome_status IN ('success', 'failure', 'timeout', 'unknown') OR told_whole OR done_far THEN 'observed' ELSE 'not_observed' END AS execution
    FROM joined
),
piece AS (  -- an action's own records in order, and after them what fills it in
    SELECT action, seq, place, 'own' AS part FROM live.ruled WHERE action IN (SELECT action FROM judged WHERE NOT alone)
    UNION ALL
    SELECT action, unnest("from".seqs), (1::BIGINT << 41) + generate_subscripts("from".seqs, 1), facet FROM live.filled SEMI JOIN chosen USING (action)
),
own_part AS (
    SELECT action, arg_min(COLUMNS('^(leaf_hash|recorded_at|submitter|type|time|id|action_id|absent|ext)$|^(source|tool|resource|trace)_'), place)
    FROM piece JOIN live.records USING (seq) WHERE part = 'own' GROUP BY action
),
request_part AS (
    SELECT action, arg_min(COLUMNS('^request_'), place) FROM piece JOIN live.records USING (seq) WHERE part IN ('own', 'request') GROUP BY action
),
-- Its session is that of its submitter: what another one says of the same call may name a conversation of their own.
session_part AS (
    SELECT action, arg_min(told.request_conversation_id, place) AS named
    FROM piece JOIN live.records told USING (seq) JOIN judged USING (action) JOIN live.records "first" ON "first".seq = judged.first_seq
    WHERE part IN ('own', 'request') AND told.submitter = "first".submitter
    GROUP BY action
),
decision_part AS (
    SELECT action, arg_min(COLUMNS('^decision_'), place) FROM piece JOIN live.records USING (seq) WHERE part IN ('own', 'decision') GROUP BY action
),
-- The agent, and the person it acts for, may be told by different records: a framework knows the one, a server that checks tokens the other.
agent_part AS (
    SELECT action, arg_min(COLUMNS(lambda c: c LIKE 'identity_%' AND c NOT LIKE 'identity_principal%'), place)
    FROM piece JOIN live.records USING (seq) WHERE part IN ('own', 'agent') GROUP BY action
),
principal_part AS (
    SELECT action, arg_min(COLUMNS('^identity_principal'), place) FROM piece JOIN live.records USING (seq) WHERE part IN ('own', 'principal') GROUP BY action
),
result_part AS (  -- a result may be told by another record than the one that saw how it ended
    SELECT action, arg_min(COLUMNS('^outcome_result(_commitment)?$'), place) FROM piece JOIN live.records USING (seq) WHERE part = 'own' GROUP BY action
),
-- What may be said twice, and change, is taken whole from the last record that says it, an outcome from the one that is believed most.
policy_part AS (SELECT action, COLUMNS('^policy_') FROM judged JOIN live.records ON seq = at_policy),
approval_part AS (SELECT action, COLUMNS('^approval_') FROM judged JOIN live.records ON seq = at_approval),
outcome_part AS (SELECT action, COLUMNS('^outcome_') FROM judged JOIN live.records ON seq = at_outcome)
SELECT told.* EXCLUDE (named), coalesce(named, conversation_id, trace_trace_id) AS session_id
FROM (
    SELECT records.* EXCLUDE (facets_missing), judged.* EXCLUDE (action, alone, at_policy, at_approval, at_outcome, meant), request_conversation_id AS named
    FROM live.records JOIN judged ON judged.first_seq = records.seq
    WHERE alone
    UNION ALL BY NAME
    SELECT first_seq AS seq, own_part.* EXCLUDE (action) REPLACE (coalesce(resource_type, meant[1]) AS resource_type, coalesce(resource_id, meant[2]) AS resource_id),
        request_part.* EXCLUDE (action), decision_part.* EXCLUDE (action), agent_part.* EXCLUDE (action), principal_part.* EXCLUDE (action),
        policy_part.* EXCLUDE (action), approval_part.* EXCLUDE (action),
        outcome_part.* EXCLUDE (action) REPLACE (
            CASE WHEN outcome_part.outcome_result_commitment IS NULL THEN result_part.outcome_result ELSE outcome_part.outcome_result END AS outcome_result,
            coalesce(outcome_part.outcome_result_commitment, result_part.outcome_result_commitment) AS outcome_result_commitment),
        judged.* EXCLUDE (action, alone, at_policy, at_approval, at_outcome, meant), named
    FROM judged
    JOIN own_part USING (action) JOIN request_part USING (action) JOIN decision_part USING (action)
    JOIN agent_part USING (action) JOIN principal_part USING (action) JOIN result_part USING (action)
    LEFT JOIN policy_part USING (action) LEFT JOIN approval_part USING (action) LEFT JOIN outcome_part USING (action) LEFT JOIN session_part USING (action)
) told LEFT JOIN live.conversation ON named IS NULL AND conversation.submitter = told.submitter AND conversation.trace_id = told.trace_trace_id;
