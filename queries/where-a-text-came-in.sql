-- title: Through which tool's result did this text first come into each conversation, and was it used?
-- answers: One row per conversation in which a result held the text: the first one that did (the carrier), whether the user had said it, and the first later call with it in the arguments. Erased and withheld contents cannot be searched.
-- group: injection
-- standard: OWASP ASI01
-- param literal: text, required. The text to look for, exactly as it stands in results and arguments.
-- param since: timestamp, default 1970-01-01T00:00:00Z. Only what happened from then on.
-- columns: time, carrier_tool, carrier_resource, carrier_trust, user_named_it, used_tool, used_resource, used_time, used_outcome, uses, calls_between (between the carrier and the first use), session_id, submitter, carrier_seq, used_seq

WITH step AS (
    SELECT
        submitter, session_id, "time", seq, tool_name, resource_trust, outcome_status,
        coalesce(resource_id, resource_name, resource_destination) AS resource, coalesce(contains(request_text, $literal), FALSE) AS named,
        coalesce(contains(outcome_result, $literal), FALSE) AS carries, coalesce(contains(tool_arguments, $literal), FALSE) AS uses,
        row_number() OVER (PARTITION BY submitter, session_id ORDER BY "time", seq) AS place
    FROM actions
    WHERE session_id IS NOT NULL AND "time" >= $since::TIMESTAMPTZ
),
exposed AS (
    SELECT *, min(place) FILTER (carries) OVER (PARTITION BY submitter, session_id) AS carried_at FROM step
),
found AS (
    SELECT
        submitter, session_id, bool_or(named) AS user_named_it,
        any_value({'time': "time", 'tool': tool_name, 'resource': resource, 'trust': resource_trust, 'seq': seq, 'place': place})
            FILTER (place = carried_at) AS carrier,
        arg_min({'time': "time", 'tool': tool_name, 'resource': resource, 'outcome': outcome_status, 'seq': seq, 'place': place}, place)
            FILTER (uses AND place > carried_at) AS used,
        count(*) FILTER (uses AND place > carried_at) AS uses
    FROM exposed
    WHERE carried_at IS NOT NULL
    GROUP BY submitter, session_id
)
SELECT
    carrier."time", carrier.tool AS carrier_tool, carrier.resource AS carrier_resource, carrier.trust AS carrier_trust, user_named_it,
    used.tool AS used_tool, used.resource AS used_resource, used."time" AS used_time, used.outcome AS used_outcome, uses,
    used.place - carrier.place - 1 AS calls_between, session_id, submitter, carrier.seq AS carrier_seq, used.seq AS used_seq
FROM found
ORDER BY carrier."time", carrier.seq
