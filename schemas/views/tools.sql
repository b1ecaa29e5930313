-- view: tools
-- answers: One row per tool and server: how it was used, and every definition of it that was seen, in order. A definition that changed under an old name may be a rug pull, or a release.
-- readers: anew
-- column tool_server: VARCHAR. Who offers it; NULL where nothing says so [OTel server.address]
-- column tool_name: VARCHAR. Its name [OTel gen_ai.tool.name]
-- column effects: VARCHAR[]. What it does to the world, as its records say; more than one is a contradiction [OCSF activity]
-- column protocols: VARCHAR[]. mcp, http, function, a2a [OTel network.protocol.name]
-- column submitters: VARCHAR[]. Who wrote of it
-- column first_seen: TIMESTAMP WITH TIME ZONE. Its first call
-- column last_seen: TIMESTAMP WITH TIME ZONE. Its last call
-- column actions: BIGINT. Rows of `actions`
-- column denied: BIGINT. Those of them that a record says were denied or rejected
-- column failed: BIGINT. Those of them that ended in failure or timeout
-- column agents: VARCHAR[]. Agents that called it [OTel gen_ai.agent.id]
-- column resources: BIGINT. How many resources it was used on
-- column definitions: STRUCT(digest VARCHAR, first_seen TIMESTAMP WITH TIME ZONE, last_seen TIMESTAMP WITH TIME ZONE, actions BIGINT, first_seq UBIGINT)[]. Each digest of its definition (`tool.definition_digest`), by when it was first seen
-- column changed: BOOLEAN. It was seen with more than one definition
-- column changed_at: TIMESTAMP WITH TIME ZONE. When its newest definition was first seen, if there was an older one
-- column without_definition: BIGINT. Calls that do not say which definition was offered
-- column first_seq: UBIGINT. Where its first call stands in the log

WITH
definition AS (
    SELECT
        tool_server, tool_name, tool_definition_digest AS digest, min("time") AS first_seen, max("time") AS last_seen, count(*) AS actions,
        arg_min(seq, ("time", seq)) AS first_seq
    FROM actions
    WHERE tool_name IS NOT NULL AND tool_definition_digest IS NOT NULL
    GROUP BY tool_server, tool_name, tool_definition_digest
),
history AS (
    SELECT
        tool_server, tool_name, max(first_seen) AS newest,
        list({'digest': digest, 'first_seen': first_seen, 'last_seen': last_seen, 'actions': actions, 'first_seq': first_seq}
            ORDER BY first_seen, first_seq) AS definitions
    FROM definition
    GROUP BY tool_server, tool_name
),
tool AS (
    SELECT
        tool_server, tool_name,
        coalesce(list_sort(list(DISTINCT tool_effect) FILTER (tool_effect IS NOT NULL)), []) AS effects,
        coalesce(list_sort(list(DISTINCT tool_protocol) FILTER (tool_protocol IS NOT NULL)), []) AS protocols,
        list_sort(list(DISTINCT submitter)) AS submitters, min("time") AS first_seen, max("time") AS last_seen, count(*) AS actions,
        count(*) FILTER (policy_effect = 'deny' OR outcome_status = 'denied' OR approval_outcome = 'rejected') AS denied,
        count(*) FILTER (outcome_status IN ('failure', 'timeout')) AS failed,
        coalesce(list_sort(list(DISTINCT coalesce(identity_agent_id, identity_agent_name))
            FILTER (coalesce(identity_agent_id, identity_agent_name) IS NOT NULL)), []) AS agents,
        count(DISTINCT coalesce(resource_id, resource_name, resource_destination)) AS resources,
        count(*) FILTER (tool_definition_digest IS NULL) AS without_definition, arg_min(seq, ("time", seq)) AS first_seq
    FROM actions
    WHERE tool_name IS NOT NULL
    GROUP BY tool_server, tool_name
)
SELECT
    tool.* EXCLUDE (without_definition, first_seq), coalesce(definitions, []) AS definitions, coalesce(len(definitions) > 1, FALSE) AS changed,
    CASE WHEN len(definitions) > 1 THEN newest END AS changed_at, without_definition, tool.first_seq
FROM tool LEFT JOIN history ON history.tool_server IS NOT DISTINCT FROM tool.tool_server AND history.tool_name = tool.tool_name
