-- title: Which actions came through a long chain of delegation?
-- answers: One row per chain of actors and tool: who acted for whom, at least so many deep. The chain is what the records say; only a token that a server checked proves it (identity_principal_source).
-- group: approval
-- standard: RFC 8693
-- param depth: integer, default 2. From how many actors on.
-- param since: timestamp, default 1970-01-01T00:00:00Z. Only what happened from then on.
-- columns: chain (outermost first), depth, agent, tool_name, tool_effect, actions, denied, persons, first_time, last_time, first_seq

WITH act AS (
    SELECT *, json_extract_string(identity_actors, '$[*].sub') AS chain FROM actions
    WHERE identity_actors IS NOT NULL AND "time" >= $since::TIMESTAMPTZ
)
SELECT
    chain, len(chain) AS depth, coalesce(identity_agent_id, identity_agent_name) AS agent, tool_name, tool_effect, count(*) AS actions,
    count(*) FILTER (policy_effect = 'deny' OR outcome_status = 'denied' OR approval_outcome = 'rejected') AS denied,
    count(DISTINCT identity_principal_commitment) AS persons, min("time") AS first_time, max("time") AS last_time,
    arg_min(seq, ("time", seq)) AS first_seq
FROM act
WHERE len(chain) >= $depth
GROUP BY ALL
ORDER BY depth DESC, first_time, first_seq
