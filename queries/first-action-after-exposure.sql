-- title: What did the agent do first after it had read untrusted content?
-- answers: One row per conversation in which a result of external trust came in: the first such result, the very next action, and the first one that pays, sends, deletes, changes, executes or delegates. What comes after is not what comes of it.
-- group: injection
-- standard: OWASP ASI01
-- param since: timestamp, default 1970-01-01T00:00:00Z. Only what happened from then on.
-- columns: time, carrier_tool, carrier_resource, carrier_trust, next_tool, next_effect, next_resource, next_seconds (after the exposure), consequence_tool, consequence_effect, consequence_resource, calls_between (between the exposure and the consequence), named_by_user (the user's request holds the consequence's resource; NULL when the request is not known), session_id, submitter, carrier_seq, next_seq, consequence_seq

WITH step AS (
    SELECT
        submitter, session_id, "time", seq, tool_name, tool_effect, resource_trust, request_text,
        coalesce(resource_destination, resource_id, resource_name) AS resource,
        coalesce(resource_trust IN ('external', 'external_content') AND outcome_result_commitment IS NOT NULL, FALSE) AS carries,
        row_number() OVER (PARTITION BY submitter, session_id ORDER BY "time", seq) AS place
    FROM actions
    WHERE session_id IS NOT NULL AND "time" >= $since::TIMESTAMPTZ
),
exposed AS (
    SELECT *, min(place) FILTER (carries) OVER (PARTITION BY submitter, session_id) AS carried_at FROM step
),
found AS (
    SELECT
        submitter, session_id,
        any_value({'time': "time", 'tool': tool_name, 'resource': resource, 'trust': resource_trust, 'seq': seq, 'place': place})
            FILTER (place = carried_at) AS carrier,
        any_value({'time': "time", 'tool': tool_name, 'effect': tool_effect, 'resource': resource, 'seq': seq})
            FILTER (place = carried_at + 1) AS next,
        arg_min({'tool': tool_name, 'effect': tool_effect, 'resource': resource, 'seq': seq, 'place': place, 'asked': request_text}, place)
            FILTER (place > carried_at AND coalesce(tool_effect, 'read') <> 'read') AS act
    FROM exposed
    WHERE carried_at IS NOT NULL
    GROUP BY submitter, session_id
)
SELECT
    carrier."time", carrier.tool AS carrier_tool, carrier.resource AS carrier_resource, carrier.trust AS carrier_trust,
    next.tool AS next_tool, next.effect AS next_effect, next.resource AS next_resource, epoch(next."time") - epoch(carrier."time") AS next_seconds,
    act.tool AS consequence_tool, act.effect AS consequence_effect, act.resource AS consequence_resource,
    act.place - carrier.place - 1 AS calls_between, contains(act.asked, act.resource) AS named_by_user,
    session_id, submitter, carrier.seq AS carrier_seq, next.seq AS next_seq, act.seq AS consequence_seq
FROM found
ORDER BY carrier."time", carrier.seq
