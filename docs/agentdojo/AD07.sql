-- AD07: Taint: whose results' words went into whose later arguments, by source and sink?
-- A word is 8 characters or more of letters, digits and _ . @ / : - in a row, without what of . / : - stands at its ends, and one that the user had not written. It flows
-- from the first result that has it; an edge is a result and a later call, however many words went that way. What failed has no result.
WITH call AS (
    SELECT request_conversation_id AS run, row_number() OVER (PARTITION BY request_conversation_id ORDER BY "time", seq) AS place, tool_name,
        tool_arguments, CASE WHEN outcome_status = 'success' THEN outcome_result->>'$' END AS result, request_text->>'$' AS asked
    FROM actions
),
used AS (
    SELECT run, place, asked, trim(unnest(regexp_extract_all(tree.atom->>'$', '[\w.@/:-]{8,}')), './:-') AS word
    FROM call, json_tree(tool_arguments) tree
    WHERE tree.atom IS NOT NULL
),
told AS (
    SELECT run, word, min(place) AS source
    FROM (SELECT run, place, trim(unnest(regexp_extract_all(result, '[\w.@/:-]{8,}')), './:-') AS word FROM call)
    WHERE word <> ''
    GROUP BY run, word
),
edge AS (
    SELECT DISTINCT run, source, place AS sink
    FROM used JOIN told USING (run, word)
    WHERE source < place AND NOT contains(asked, word)
)
SELECT source.tool_name || '->' || sink.tool_name AS flow, count(*) AS calls
FROM edge
JOIN call source ON source.run = edge.run AND source.place = edge.source
JOIN call sink ON sink.run = edge.run AND sink.place = edge.sink
GROUP BY flow
ORDER BY calls DESC, flow
