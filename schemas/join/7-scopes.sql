-- The join, 7 of 8: between which actions text may have flowed. It is compared by its words, runs of letters or digits without case: one, two
-- or three in a row are a key. Of each key of an argument only the first result in the same scope that holds it is a source, so that what it
-- costs to find them is to read the text once, however many steps a conversation has.

-- Text as it was meant: no JSON escapes, no percent-encoding, 1,000.00 as 1000, account and card numbers also without their gaps.
CREATE OR REPLACE MACRO live.unescaped(content) AS regexp_replace(CASE
    WHEN starts_with(content, '"') THEN json_extract_string(content, '$')
    WHEN contains(content, '\u') AND json_valid(content) THEN json(content)::VARCHAR
    ELSE content END, '\\[nrtbf"/\\]', ' ', 'g');
CREATE OR REPLACE MACRO live.decoded(body) AS CASE WHEN contains(body, '%') THEN coalesce(TRY(url_decode(body)), body) ELSE body END;
CREATE OR REPLACE MACRO live.digits(body) AS regexp_replace(regexp_replace(regexp_replace(
    body, '(\d),(\d{3})\b', '\1\2', 'g'), '(\d)\.0+\b', '\1', 'g'), '(\.\d*[1-9])0+\b', '\1', 'g');
CREATE OR REPLACE MACRO live.closed(body) AS array_to_string([body] || list_transform(
    regexp_extract_all(body, '\b(?:[a-zA-Z]{2}\d{2}(?:[ -][a-zA-Z0-9]{4}){2,7}(?:[ -][a-zA-Z0-9]{1,4})?|\d{3,}(?:[ -]\d{3,}){2,})\b'),
    lambda found: regexp_replace(found, '[ -]', '', 'g')), ' ');
CREATE OR REPLACE MACRO live.open_text(content) AS live.digits(live.decoded(live.unescaped(content)));
CREATE OR REPLACE MACRO live.text(content) AS live.closed(live.open_text(content));

-- Where a script does not part words, each of its signs is one. Words as what is compared, and as they stand, with what leads to each.
CREATE OR REPLACE MACRO live.words(body) AS list_transform(
    regexp_extract_all(lower(body), '[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}]|(?:[^\PL\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}]|\pN)+'), lambda word: hash(word));
CREATE OR REPLACE MACRO live.led_words(body) AS regexp_extract_all(body, '[^\pL\pN]*(?:[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}]|(?:[^\PL\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}]|\pN)+)');
CREATE OR REPLACE MACRO live.bare(led) AS lower(regexp_replace(led, '^[^\pL\pN]+', ''));

-- When each action began, and when its result was known (`live.fact.n`).
CREATE OR REPLACE TABLE live.flow_step AS
SELECT actions.seq, actions.submitter, request_conversation_id AS conversation_id, trace_trace_id AS trace_id, begun.n AS begun, known.n AS known,
    coalesce(length(tool_arguments), 0) + coalesce(length(outcome_result), 0) AS characters
FROM live.joined actions
JOIN live.action ON action.first_seq = actions.seq
JOIN live.fact begun ON begun.seq = actions.seq
LEFT JOIN live.fact known ON known.seq = action.at_outcome;

-- A scope is a conversation of one submitter, or a trace that is not all in one conversation. A batch of them is compared at a time, so that
-- memory stays bounded; a scope is never divided.
CREATE OR REPLACE TABLE live.flow_scope AS
WITH shared AS (
    SELECT submitter, 'c' || conversation_id AS scope, list(seq) AS seqs, sum(characters) AS characters
    FROM live.flow_step WHERE conversation_id IS NOT NULL GROUP BY ALL HAVING count(*) > 1
    UNION ALL
    SELECT submitter, 't' || trace_id, list(seq), sum(characters)
    FROM live.flow_step WHERE trace_id IS NOT NULL
    GROUP BY submitter, trace_id
    HAVING count(*) > 1 AND (count(conversation_id) < count(*) OR min(conversation_id) <> max(conversation_id))
)
SELECT unnest(seqs) AS seq, submitter, scope, hash(submitter, scope) AS scope_key, batch
FROM (SELECT *, sum(characters) OVER (ORDER BY submitter, scope ROWS UNBOUNDED PRECEDING) // 33554432 AS batch FROM shared);

-- What users said in each scope: each text, the first time. Words of an agent or of an event are no user's.
CREATE OR REPLACE TABLE live.flow_request AS
SELECT scope_key, request_text, min(n) AS n
FROM (
    SELECT seq, unnest([hash(submitter, 'c' || request_conversation_id), hash(submitter, 't' || trace_trace_id)]) AS scope_key, request_text, request_origin
    FROM live.records
    UNION ALL
    SELECT seq, scope_key, request_text, request_origin FROM live.joined JOIN live.flow_scope USING (seq)
)
JOIN live.fact USING (seq)
WHERE request_text IS NOT NULL AND coalesce(request_origin, 'human') NOT IN ('agent', 'event') AND scope_key IN (SELECT scope_key FROM live.flow_scope)
GROUP BY ALL;

-- What was found, and what the records say themselves.
CREATE OR REPLACE TABLE live.flow (source_seq UBIGINT, sink_seq UBIGINT, carried VARCHAR[], paths VARCHAR[], named_by_user BOOLEAN);
CREATE OR REPLACE TABLE live.flow_declared AS
SELECT DISTINCT source.seq AS source_seq, sink.seq AS sink_seq
FROM (SELECT seq, submitter, unnest(trace_derived_from::VARCHAR[]) AS name FROM live.joined WHERE trace_derived_from IS NOT NULL) sink
JOIN (
    SELECT seq, submitter, id AS name FROM live.every_action
    UNION
    SELECT seq, submitter, action_id FROM live.every_action WHERE action_id IS NOT NULL
) source USING (submitter, name)
WHERE source.seq <> sink.seq;
