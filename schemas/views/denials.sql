-- view: denials
-- answers: One row per action that a record says was denied or rejected: by what, by whom, whether it ran all the same, and whether the same was done another way afterwards. That something was not executed is no denial.
-- column seq: UBIGINT. The denied action: its row in `actions`
-- column time: TIMESTAMP WITH TIME ZONE. When it was tried [CloudEvents time]
-- column submitter: VARCHAR. Who wrote it
-- column session_id: VARCHAR. Its conversation, else its trace
-- column agent: VARCHAR. Who tried [OTel gen_ai.agent.id]
-- column principal: VARCHAR person. For whom [RFC 8693 sub]
-- column principal_commitment: VARCHAR. Their commitment
-- column tool_name: VARCHAR. With what [OTel gen_ai.tool.name]
-- column tool_effect: VARCHAR. To what effect [OCSF activity]
-- column resource_id: VARCHAR argument. On what: its id, else its name, else the destination [OCSF resource.uid]
-- column resource_id_commitment: VARCHAR. The commitment of the arguments, where on what is known from them alone
-- column denied_by: VARCHAR[]. policy, approval (a person rejected it), outcome (what it was done to refused) [OCSF status]
-- column policy_engine: VARCHAR. Which engine
-- column policy_id: VARCHAR. Which policy [OCSF policy.uid]
-- column policy_rule: VARCHAR. Which rule [OCSF rule.uid]
-- column policy_reason: VARCHAR. Why, a code [OCSF status_code]
-- column policy_mode: VARCHAR. enforce or monitor
-- column approver: VARCHAR person. Who rejected it, where a person did
-- column approver_commitment: VARCHAR. Their commitment
-- column executed: BOOLEAN. An outcome was seen all the same: the policy only watched, or was passed by
-- column done_seq: UBIGINT. The first later action, seen done, that did the same: NULL where none did
-- column done_time: TIMESTAMP WITH TIME ZONE. When
-- column done_agent: VARCHAR. By which agent
-- column done_tool: VARCHAR. With which tool
-- column done_how: VARCHAR. repeated (same tool and arguments), arguments (same tool and resource, with other arguments or such as are not known any more), tool (another tool on the same resource, or with the same arguments)
-- column done_where: VARCHAR. session (the same one), agent (the same agent, elsewhere), principal (for the same person, by another agent elsewhere)

WITH
act AS (
    SELECT
        seq, "time", epoch_us("time")::HUGEINT * 18446744073709551616 + seq AS place, submitter, session_id,
        coalesce(identity_agent_id, identity_agent_name) AS agent, identity_principal_commitment AS person, tool_name,
        coalesce(tool_effect = 'read', FALSE)::VARCHAR AS reading, coalesce(resource_id, resource_name, resource_destination) AS resource,
        sha256(tool_arguments) AS said, CASE WHEN length(tool_arguments) > 2 THEN said END AS digest,
        coalesce(policy_effect = 'deny', FALSE) OR coalesce(approval_outcome = 'rejected', FALSE) AS forbidden,
        forbidden OR coalesce(outcome_status = 'denied', FALSE) AS denied,
        execution = 'observed' AND coalesce(outcome_status, 'unknown') IN ('success', 'unknown') AND NOT forbidden AS done
    FROM actions
),
-- By what the same may be found again, once for each way, the surest first. A reading is the same only as a reading.
way AS (
    SELECT seq, "time", place, agent, tool_name, said, denied, done, priority, "key"
    FROM (
        SELECT *, unnest([
            {'priority': 1, 'key': ['session', submitter, session_id, reading, 'resource', resource]},
            {'priority': 2, 'key': ['session', submitter, session_id, reading, 'arguments', digest]},
            {'priority': 3, 'key': ['agent', submitter, agent, reading, 'resource', resource]},
            {'priority': 4, 'key': ['agent', submitter, agent, reading, tool_name, digest]},
            {'priority': 5, 'key': ['principal', submitter, person, reading, 'resource', resource]}], recursive := TRUE)
        FROM (SELECT * FROM act WHERE denied OR (done AND (
            resource IN (SELECT resource FROM act WHERE denied) OR digest IN (SELECT digest FROM act WHERE denied))))
    )
    WHERE list_count("key") = len("key")
),
-- As numbers: DuckDB 2.0 answers wrongly when one of an ASOF join's keys is a list.
numbered AS (SELECT "key", row_number() OVER () AS number FROM (SELECT DISTINCT "key" FROM way WHERE denied)),
tried AS (SELECT * FROM way JOIN numbered USING ("key") WHERE denied),
did AS (SELECT * FROM way JOIN numbered USING ("key") WHERE done),
again AS (
    SELECT tried.seq, arg_min({
        'seq': did.seq, 'time': did."time", 'agent': did.agent, 'tool': did.tool_name,
        'how': CASE
            WHEN did.tool_name IS DISTINCT FROM tried.tool_name THEN 'tool'
            WHEN did.said = tried.said THEN 'repeated' ELSE 'arguments' END,
        'where': CASE WHEN tried.priority <= 2 THEN 'session' WHEN tried.priority <= 4 THEN 'agent' ELSE 'principal' END
    }, tried.priority) AS done
    FROM tried ASOF JOIN did ON did.number = tried.number AND tried.place < did.place
    GROUP BY tried.seq
)
SELECT
    seq, "time", submitter, session_id, coalesce(identity_agent_id, identity_agent_name) AS agent, identity_principal AS principal,
    identity_principal_commitment AS principal_commitment, tool_name, tool_effect, coalesce(resource_id, resource_name, resource_destination) AS resource_id,
    CASE WHEN joined_by.resource = 'arguments' THEN tool_arguments_commitment END AS resource_id_commitment,
    list_filter([CASE WHEN policy_effect = 'deny' THEN 'policy' END, CASE WHEN approval_outcome = 'rejected' THEN 'approval' END,
        CASE WHEN outcome_status = 'denied' THEN 'outcome' END], lambda b: b IS NOT NULL) AS denied_by,
    policy_engine, policy_id, policy_rule, policy_reason, policy_mode,
    CASE WHEN approval_outcome = 'rejected' THEN approval_approver END AS approver,
    CASE WHEN approval_outcome = 'rejected' THEN approval_approver_commitment END AS approver_commitment,
    execution = 'observed' AND outcome_status IS DISTINCT FROM 'denied' AS executed,
    again.done.seq AS done_seq, again.done."time" AS done_time, again.done.agent AS done_agent, again.done.tool AS done_tool, again.done.how AS done_how,
    again.done."where" AS done_where
FROM actions LEFT JOIN again USING (seq)
WHERE policy_effect = 'deny' OR approval_outcome = 'rejected' OR outcome_status = 'denied'
