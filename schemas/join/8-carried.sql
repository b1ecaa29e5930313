-- The join, 8 of 8: in one batch of scopes (`live.flow_now`), which result brought what into which later arguments. It is run for each batch.
CREATE OR REPLACE TABLE live.flow_here AS
SELECT seq, scope, scope_key, conversation_id, begun, known
FROM live.flow_scope JOIN live.flow_step USING (seq) WHERE batch = (SELECT batch FROM live.flow_now);

-- A table of its own, because DuckDB 2.0 fails ("dict-surviving cache") where what a join gives of a long text goes straight into UNNEST.
CREATE OR REPLACE TABLE live.flow_result AS
SELECT here.seq, scope_key, known, outcome_result FROM live.flow_here here JOIN live.joined USING (seq) WHERE known IS NOT NULL AND outcome_result IS NOT NULL;

CREATE OR REPLACE TABLE live.flow_leaf AS  -- the values of arguments
SELECT row_number() OVER () AS leaf, seq, path, live.led_words(body) AS written, live.led_words(live.closed(body)) AS led
FROM (
    SELECT seq, tree.fullkey AS path, live.open_text(tree.atom::VARCHAR) AS body
    FROM (SELECT seq, tool_arguments FROM live.joined WHERE seq IN (SELECT seq FROM live.flow_here) AND json_valid(tool_arguments)) call, json_tree(tool_arguments) tree
    WHERE tree.atom IS NOT NULL AND tree.type NOT IN ('NULL', 'BOOLEAN')
);

-- What of a value is looked for: all of it where it is short, three words in a row, and single ones that are no language's. Two words stand for a
-- host, a file's name or a path; those behind an @ do not, or all who have their mail at one place would be one.
CREATE OR REPLACE TABLE live.flow_sought AS
SELECT leaf, seq, "at", first, found[1] AS "key", found[2] AS size
FROM (
    SELECT leaf, seq, "at", hash(a) AS first, unnest([
        CASE WHEN (words = 1 AND length(a) >= 2) OR length(a) >= 16 OR (length(a) >= 5 AND regexp_matches(a, '\d')) THEN (hash(hash(a)), 1) END,
        CASE WHEN words = 2 OR (regexp_full_match(led_b, '[./_:-][^./_:-]+') AND NOT contains(led_a, '@') AND length(a) + length(b) >= 6) THEN (hash(hash(a), hash(b)), 2) END,
        CASE WHEN c IS NOT NULL THEN (hash(hash(a), hash(b), hash(c)), 3) END]) AS found
    FROM (
        SELECT leaf, seq, words, led[1] AS led_a, led[2] AS led_b, led[4] AS "at", live.bare(led[1]) AS a, live.bare(led[2]) AS b, live.bare(led[3]) AS c
        FROM (SELECT leaf, seq, len(written) AS words, unnest(list_zip(led, led[2:], led[3:], range(1, len(led) + 1))) AS led FROM live.flow_leaf)
    )
)
WHERE found IS NOT NULL;

CREATE OR REPLACE TABLE live.flow_used AS  -- by the agent itself, in each scope
SELECT hash(scope_key, "key") AS "key", any_value(hash(scope_key, first)) AS first, min(begun) AS begun
FROM live.flow_sought JOIN live.flow_here USING (seq) GROUP BY hash(scope_key, "key");

-- The words of all texts are many times those that are looked for. They stream past them: a mark that is not filtered by is the one join whose
-- sides DuckDB does not swap, which would hold the words of all texts in memory.
CREATE OR REPLACE MACRO live.marked(scope_key, words, looked_for) AS CASE WHEN looked_for THEN
    [hash(scope_key, hash(words[1])), hash(scope_key, hash(words[1], words[2])), hash(scope_key, hash(words[1], words[2], words[3]))] END;

CREATE OR REPLACE TABLE live.flow_brought AS  -- by a result before the agent used it
SELECT origin.*
FROM (
    SELECT CASE WHEN "key" IN (SELECT "key" FROM live.flow_used) THEN "key" END AS "key", min(known) AS known, arg_min(seq, known) AS source_seq
    FROM (
        SELECT seq, known, unnest(live.marked(scope_key, words, hash(scope_key, words[1]) IN (SELECT first FROM live.flow_used))) AS "key"
        FROM (
            SELECT seq, known, scope_key, unnest(list_zip(words, words[2:], words[3:])) AS words
            FROM (SELECT *, live.words(live.text(outcome_result::VARCHAR)) AS words FROM live.flow_result)
        )
    )
    GROUP BY ALL
) origin JOIN live.flow_used used USING ("key")
WHERE known < begun;

CREATE OR REPLACE TABLE live.flow_named AS  -- by users: when first
SELECT CASE WHEN "key" IN (SELECT "key" FROM live.flow_brought) THEN "key" END AS "key", min(n) AS n
FROM (
    SELECT n, unnest(live.marked(scope_key, words, TRUE)) AS "key"
    FROM (
        SELECT n, scope_key, unnest(list_zip(words, words[2:], words[3:])) AS words
        FROM (SELECT *, live.words(live.text(request_text::VARCHAR)) AS words FROM live.flow_request WHERE scope_key IN (SELECT scope_key FROM live.flow_here))
    )
)
GROUP BY ALL;

INSERT INTO live.flow
WITH
carried AS (  -- a trace tells only what crosses conversations: the rest is told by the conversation
    SELECT DISTINCT leaf, seq AS sink_seq, source_seq, "at", "at" + size AS until, coalesce(named.n <= here.begun, FALSE) AS named
    FROM live.flow_sought sought JOIN live.flow_here here USING (seq)
    JOIN live.flow_brought brought ON brought."key" = hash(scope_key, sought."key")
    JOIN live.flow_step source ON source.seq = source_seq
    LEFT JOIN live.flow_named named ON named."key" = brought."key"
    WHERE starts_with(scope, 'c') OR source.conversation_id IS DISTINCT FROM here.conversation_id
),
apart AS (  -- does a new piece begin here?
    SELECT *, "at" > coalesce(max(until) OVER (PARTITION BY leaf, source_seq, named ORDER BY "at", until ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS new
    FROM carried
),
piece AS (
    SELECT leaf, sink_seq, source_seq, named, min("at") AS "at", max(until) AS until
    FROM (SELECT *, count_if(new) OVER (PARTITION BY leaf, source_seq, named ORDER BY "at", until) AS number FROM apart)
    GROUP BY leaf, sink_seq, source_seq, named, number
),
told AS (
    SELECT DISTINCT sink_seq, source_seq, named, path, regexp_replace(array_to_string(
        CASE WHEN "at" <= len(written) THEN written["at":until - 1] ELSE led["at":until - 1] END, ''), '^[^\pL\pN]+', '') AS body
    FROM piece JOIN live.flow_leaf USING (leaf)
    WHERE until - "at" >= len(written) OR length(body) >= 8
)
SELECT source_seq, sink_seq, list(body ORDER BY length(body) DESC, path, body), list(path ORDER BY length(body) DESC, path, body), named
FROM (SELECT *, bool_and(named) OVER (PARTITION BY source_seq, sink_seq) AS all_named FROM told)
WHERE named = all_named
GROUP BY source_seq, sink_seq, named;

-- Nothing is kept of a batch.
DROP TABLE live.flow_here;
DROP TABLE live.flow_result;
DROP TABLE live.flow_leaf;
DROP TABLE live.flow_sought;
DROP TABLE live.flow_used;
DROP TABLE live.flow_brought;
DROP TABLE live.flow_named;
