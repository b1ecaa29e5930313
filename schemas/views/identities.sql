-- view: identities
-- answers: One row per agent, workload, client, credential and person that actions were done as or for: since when, how much, with what.
-- readers: anew
-- column kind: VARCHAR. agent, workload, client, credential, or principal (the person acted for)
-- column id: VARCHAR. Its id: an agent's else its name, a credential's else its thumbprint, a person's commitment [OTel gen_ai.agent.id, SPIFFE ID, RFC 7519 jti, RFC 8693 sub]
-- column person: VARCHAR person. Who a principal is, NULL when forgotten or withheld, and for every other kind [RFC 8693 sub]
-- column person_commitment: VARCHAR. A principal's commitment: its `id`
-- column name: VARCHAR. What an agent calls itself, the latest [OTel gen_ai.agent.name]
-- column submitters: VARCHAR[]. Who wrote it: where there are several, check that all of them may
-- column first_seen: TIMESTAMP WITH TIME ZONE. Its first action
-- column last_seen: TIMESTAMP WITH TIME ZONE. Its last action
-- column actions: BIGINT. Rows of `actions`
-- column denied: BIGINT. Those of them that a record says were denied or rejected
-- column failed: BIGINT. Those of them that ended in failure or timeout
-- column consequences: BIGINT. Those of them, seen done, that pay, send, delete or delegate
-- column agents: VARCHAR[]. Agents that it was seen with
-- column tools: VARCHAR[]. Tools that it called [OTel gen_ai.tool.name]
-- column tools_count: BIGINT. How many these are
-- column resources: BIGINT. How many resources it touched
-- column sessions: BIGINT. How many conversations or traces
-- column first_seq: UBIGINT. Where its first action stands in the log

WITH act AS (
    SELECT
        coalesce(identity_agent_id, identity_agent_name) AS agent, agent AS agent_seen, identity_workload AS workload, identity_client_id AS client,
        coalesce(identity_credential->>'id', identity_credential->>'thumbprint') AS credential, identity_principal_commitment AS principal,
        identity_principal AS person, identity_agent_name AS agent_name, submitter, "time", seq, tool_name, outcome_status,
        coalesce(resource_id, resource_name, resource_destination) AS resource, session_id AS session,
        coalesce(policy_effect = 'deny' OR outcome_status = 'denied' OR approval_outcome = 'rejected', FALSE) AS denied,
        tool_effect IN ('pay', 'send', 'delete', 'delegate') AND execution = 'observed' AS consequence
    FROM actions
)
SELECT
    ['agent', 'workload', 'client', 'credential', 'principal'][
        list_position([15, 23, 27, 29, 30], grouping(agent, workload, client, credential, principal))] AS kind,
    coalesce(agent, workload, client, credential, principal) AS id,
    CASE WHEN kind = 'principal' THEN max(person) END AS person, principal AS person_commitment,
    CASE WHEN kind = 'agent' THEN arg_max(agent_name, ("time", seq)) END AS name,
    list_sort(list(DISTINCT submitter)) AS submitters,
    min("time") AS first_seen, max("time") AS last_seen, count(*) AS actions, count(*) FILTER (denied) AS denied,
    count(*) FILTER (outcome_status IN ('failure', 'timeout')) AS failed, count(*) FILTER (consequence) AS consequences,
    coalesce(list_sort(list(DISTINCT agent_seen) FILTER (agent_seen IS NOT NULL)), []) AS agents,
    coalesce(list_sort(list(DISTINCT tool_name) FILTER (tool_name IS NOT NULL)), []) AS tools, len(tools) AS tools_count,
    count(DISTINCT resource) AS resources, count(DISTINCT session) AS sessions, arg_min(seq, ("time", seq)) AS first_seq
FROM act
GROUP BY GROUPING SETS ((agent), (workload), (client), (credential), (principal))
HAVING id IS NOT NULL
