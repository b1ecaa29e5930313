-- view: resources
-- answers: One row per resource that actions were done to: by whom, how often, and how.
-- readers: anew
-- column resource_type: VARCHAR. file, account, mailbox, repository … [OCSF resource.type]
-- column resource_id: VARCHAR. Its id, else its name, else where something was sent [OCSF resource.uid]
-- column resource_tenant: VARCHAR. Whose it is [OCSF cloud.account.uid]
-- column resource_name: VARCHAR. Its name, the latest [OCSF resource.name]
-- column classification: VARCHAR. The most sensitive class that a record gives it [OCSF data_classification]
-- column trust: VARCHAR[]. How far its words may be believed, as its records say; more than one is a contradiction
-- column destinations: VARCHAR[]. Where something was sent through it [OCSF dst_endpoint]
-- column submitters: VARCHAR[]. Who wrote of it
-- column first_seen: TIMESTAMP WITH TIME ZONE. The first action on it
-- column last_seen: TIMESTAMP WITH TIME ZONE. The last action on it
-- column actions: BIGINT. Rows of `actions`
-- column reads: BIGINT. Those of them that only read
-- column changes: BIGINT. Those of them, seen done, that do anything else (`tool.effect`)
-- column denied: BIGINT. Those of them that a record says were denied or rejected
-- column failed: BIGINT. Those of them that ended in failure or timeout
-- column agents: VARCHAR[]. Agents that acted on it [OTel gen_ai.agent.id]
-- column tools: VARCHAR[]. Tools that they used [OTel gen_ai.tool.name]
-- column principals: BIGINT. How many persons it was done for
-- column sessions: BIGINT. In how many conversations or traces
-- column first_seq: UBIGINT. Where the first action on it stands in the log

WITH act AS (
    SELECT
        *, coalesce(resource_id, resource_name, resource_destination) AS resource, coalesce(identity_agent_id, identity_agent_name) AS agent,
        coalesce(policy_effect = 'deny' OR outcome_status = 'denied' OR approval_outcome = 'rejected', FALSE) AS denied,
        list_position(['public', 'internal', 'confidential', 'restricted'], resource_classification) AS class
    FROM actions
    WHERE coalesce(resource_id, resource_name, resource_destination) IS NOT NULL
)
SELECT
    resource_type, resource AS resource_id, resource_tenant, arg_max(resource_name, ("time", seq)) AS resource_name,
    ['public', 'internal', 'confidential', 'restricted'][max(class)] AS classification,
    coalesce(list_sort(list(DISTINCT resource_trust) FILTER (resource_trust IS NOT NULL)), []) AS trust,
    coalesce(list_sort(list(DISTINCT resource_destination) FILTER (resource_destination IS NOT NULL)), []) AS destinations,
    list_sort(list(DISTINCT submitter)) AS submitters,
    min("time") AS first_seen, max("time") AS last_seen, count(*) AS actions, count(*) FILTER (tool_effect = 'read') AS reads,
    count(*) FILTER (tool_effect <> 'read' AND execution = 'observed') AS changes, count(*) FILTER (denied) AS denied,
    count(*) FILTER (outcome_status IN ('failure', 'timeout')) AS failed,
    coalesce(list_sort(list(DISTINCT agent) FILTER (agent IS NOT NULL)), []) AS agents,
    coalesce(list_sort(list(DISTINCT tool_name) FILTER (tool_name IS NOT NULL)), []) AS tools,
    count(DISTINCT identity_principal_commitment) AS principals, count(DISTINCT session_id) AS sessions,
    arg_min(seq, ("time", seq)) AS first_seq
FROM act
GROUP BY resource_type, resource, resource_tenant
