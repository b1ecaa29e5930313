-- title: Which tool calls were begun, and nobody ever said what came of them?
-- answers: One row per action whose intent was recorded and whose outcome never was: the agent was killed or cut off in the middle, is still at it, or does not record outcomes. Calls that policy denied are not among them, nor those that only telemetry tells of, which says nothing before a call.
-- group: integrity
-- standard: NIST SP 800-53 AU-3
-- param older_than_s: integer, default 0. Only those whose last record came this many seconds before the newest one of the log: the others may still be running.
-- columns: time, agent, tool_name, principal, request_conversation_id, source_id (who recorded it), action_id, trace_trace_id, seq (of the intent)

SELECT
    "time",
    coalesce(identity_agent_id, identity_agent_name) AS agent,
    tool_name,
    coalesce(identity_principal, identity_principal_commitment) AS principal,
    request_conversation_id,
    source_id,
    action_id,
    trace_trace_id,
    seq
FROM actions
WHERE outcome_status IS NULL
    AND list_contains(stages, 'action.intent')
    AND policy_effect IS DISTINCT FROM 'deny'
    AND (action_id IS NOT NULL OR ext IS NULL OR ext->>'$."otel.kind"' IS NULL)
    AND recorded_at <= (SELECT max(recorded_at) FROM records) - to_seconds($older_than_s)
ORDER BY "time", seq
