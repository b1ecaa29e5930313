-- title: Which records claim an agent, a source or a tenant that their sender may not speak for?
-- answers: One row per claim that was recorded with a flag (docs/access.md): it is what somebody said, not who it was. A claim that was refused is in no entry.
-- group: integrity
-- standard: NIST SP 800-53 AU-10
-- param since: timestamp, default 1970-01-01T00:00:00Z. Only what happened from then on.
-- columns: time, submitter, member (what claims it), claimed, tool_name, action_id, seq, told_in (the entry of the log's own that says so)

WITH told AS (
    SELECT seq AS told_in, unnest(from_json(ext->'$."log.outside"', '["JSON"]')) AS place
    FROM records
    WHERE type = 'log.claim_outside'
)
SELECT
    r."time", r.submitter, place->>1 AS member,
    CASE place->>1
        WHEN 'identity.agent_id' THEN r.identity_agent_id
        WHEN 'identity.agent_name' THEN r.identity_agent_name
        WHEN 'source.id' THEN r.source_id
        WHEN 'resource.tenant' THEN r.resource_tenant
    END AS claimed,
    r.tool_name, r.action_id, r.seq, told_in
FROM told JOIN records AS r ON r.seq = (place->>0)::BIGINT
WHERE r."time" >= $since::TIMESTAMPTZ
ORDER BY r.seq, member
