-- The join, 4 of 8: what different observers saw of one call. The model asked for it, its span ran, an SDK wrote it down, a policy engine
-- judged it: each of these units goes with one leader, and what is left without one leads a row of its own.

CREATE OR REPLACE TABLE live.party AS
WITH member AS (
    SELECT unit, 'asked' AS role, n, n AS since, submitter, trace_id, conversation_id, instance, call_id, name, bare_name, arguments FROM live.asked
    UNION ALL  -- an echo of a call that is known adds no name to it; one that it alone tells was asked for when its silent model call was made
    SELECT unit, 'asked', n, decided, submitter, trace_id, conversation_id, instance, call_id, name, bare_name, arguments
    FROM live.echo WHERE decided IS NOT NULL
    UNION ALL
    SELECT unit, role, n, n, submitter, trace_id, conversation_id, instance, call_id, name, bare_name, arguments FROM live.ran WHERE NOT folded
    UNION ALL
    SELECT unit, role, n, n, submitter, trace_id, conversation_id, instance, call_id, name, bare_name, arguments
    FROM live.stage JOIN live.call USING (n)
    UNION ALL  -- one result is told in several messages
    SELECT min(n) OVER (PARTITION BY submitter, coalesce(conversation_id, trace_id), coalesce(call_id, made_id)), role, n, n, submitter, trace_id,
        conversation_id, instance, call_id, name, bare_name, arguments
    FROM live.call WHERE role = 'result'
    UNION ALL
    SELECT min(n) OVER (PARTITION BY submitter, made_id), role, n, n, submitter, trace_id, conversation_id, instance, call_id, name, bare_name, arguments
    FROM live.call WHERE role = 'policy'
)
SELECT unit, role, submitter, min(since) AS since, arg_min(call_id, n) AS call_id, arg_min(name, n) AS name, arg_min(bare_name, n) AS bare_name,
    arg_min(arguments, n) AS arguments, arg_min(instance, n) AS instance,
    list_distinct(list(trace_id)) AS traces, list_distinct(list(conversation_id)) AS conversations
FROM member
GROUP BY unit, role, submitter;

-- By what a follower finds its leader, the surest first. In a trace: the call's id, its name and arguments, the name alone if there is but one.
-- In a conversation: the call's id. In a process, over its traces: name and arguments. `even`: only if there are as many of one
-- as of the other, which a policy's event always needs: no call is to be denied for another.
-- `part`: by a name alone nobody follows whose arguments are known, since they are other ones.
CREATE OR REPLACE TABLE live.key AS
WITH
trace AS (SELECT *, 't:' || unnest(traces) AS scope FROM live.party),
conversation AS (SELECT *, 'c:' || unnest(conversations) AS scope FROM live.party),
process AS (SELECT *, 'i:' || instance AS scope FROM live.party),
way AS (
    SELECT 1 AS level, 'call_id' AS rule, FALSE AS even, 'either' AS part, unit, role, since, [submitter, scope, call_id, name, arguments] AS key FROM trace WHERE role <> 'policy'
    UNION ALL SELECT 2, 'call_id', FALSE, 'either', unit, role, since, [submitter, scope, call_id] FROM trace WHERE role <> 'policy'
    UNION ALL SELECT 3, 'call_id', FALSE, 'either', unit, role, since, [submitter, scope, call_id] FROM conversation WHERE role <> 'policy'
    UNION ALL SELECT 4, 'arguments', role = 'policy', 'either', unit, role, since, [submitter, scope, name, arguments] FROM trace WHERE call_id IS NULL OR role = 'asked'
    UNION ALL SELECT 5, 'arguments', role = 'policy', 'either', unit, role, since, [submitter, scope, name, arguments] FROM trace WHERE call_id IS NULL OR role <> 'asked'
    UNION ALL SELECT 6, 'arguments', role = 'policy', 'either', unit, role, since, [submitter, scope, bare_name, arguments,
        CASE WHEN (role = 'asked') = (name <> bare_name) THEN 'asked as a plugin''s' ELSE 'ran as a plugin''s' END] FROM trace WHERE call_id IS NULL OR role = 'asked'
    UNION ALL SELECT 7, 'instance', FALSE, 'either', unit, role, since, [submitter, scope, call_id, name, arguments] FROM process WHERE role <> 'policy'
    UNION ALL SELECT 8, 'instance', role = 'policy', 'either', unit, role, since, [submitter, scope, name, arguments] FROM process WHERE call_id IS NULL OR role = 'asked'
    UNION ALL SELECT 9, 'instance', FALSE, 'either', unit, role, since, [submitter, scope, call_id, name] FROM process WHERE arguments IS NULL OR role = 'asked'
    UNION ALL SELECT 10, 'name', TRUE, 'follows', unit, role, since, [submitter, scope, name, CASE role WHEN 'policy' THEN 'judged' ELSE 'done' END] FROM trace
        WHERE role = 'policy' OR (arguments IS NULL AND call_id IS NULL)
    UNION ALL SELECT 10, 'name', TRUE, 'leads', unit, role, since, [submitter, scope, name, unnest(['judged', 'done'])] FROM trace
        WHERE role IN ('asked', 'sdk', 'ran', 'mcp')
)
SELECT * REPLACE (to_json(key)::VARCHAR AS key) FROM way
WHERE list_count(key) = len(key)
QUALIFY count(DISTINCT role) OVER (PARTITION BY level, key) > 1;

CREATE OR REPLACE TABLE live.pair (unit BIGINT, role VARCHAR, leader BIGINT, rule VARCHAR);

-- Followers go with leaders of one role in the order of time, each leader with one follower of each role: the first that is not earlier than
-- it. A follower for whom no leader is there yet goes without. `ordered` FALSE: only the order within each role counts.
CREATE OR REPLACE MACRO live.met(leader_role, at_level, ordered) AS TABLE
WITH
free AS (FROM live.key WHERE level = at_level AND unit NOT IN (SELECT unit FROM live.pair)),
followed AS (
    SELECT DISTINCT follower.level, follower.key, follower.role AS follows
    FROM free follower WHERE role <> leader_role AND part <> 'leads'
),
side AS (
    SELECT key, follows, unit, rule, even, since, TRUE AS leads FROM free JOIN followed USING (level, key)
    WHERE role = leader_role AND part <> 'follows' AND (unit, follows) NOT IN (SELECT (leader, role) FROM live.pair)
    UNION ALL
    SELECT key, role, unit, rule, even, since, FALSE FROM free WHERE role <> leader_role AND part <> 'leads'
),
counted AS (
    SELECT *, count(*) FILTER (leads) OVER so_far AS leaders, count(*) FILTER (NOT leads) OVER so_far AS followers, row_number() OVER so_far AS step,
        count(*) FILTER (leads) OVER (PARTITION BY key, follows) AS all_leaders, count(*) FILTER (NOT leads) OVER (PARTITION BY key, follows) AS all_followers
    FROM side
    WINDOW so_far AS (PARTITION BY key, follows ORDER BY CASE WHEN ordered THEN since ELSE 0 END, leads DESC, since, unit ROWS UNBOUNDED PRECEDING)
),
behind AS (SELECT *, greatest(0, max(followers - leaders) OVER so_far) AS without FROM counted WINDOW so_far AS (PARTITION BY key, follows ORDER BY step)),
placed AS (  -- `without`: the followers that found nobody so far, as many as they ever were ahead of the leaders
    SELECT *, without > lag(without, 1, 0) OVER so_far AS alone FROM behind WINDOW so_far AS (PARTITION BY key, follows ORDER BY step)
)
SELECT follower.unit, follower.follows AS role, leader.unit AS leader, follower.rule
FROM (FROM placed WHERE NOT leads AND NOT alone) follower
JOIN (FROM placed WHERE leads) leader ON leader.key = follower.key AND leader.follows = follower.follows
    AND leader.leaders = follower.followers - follower.without
WHERE NOT follower.even OR (follower.all_leaders = follower.all_followers AND (follower.follows = 'policy' OR follower.all_leaders = 1))
QUALIFY row_number() OVER (PARTITION BY follower.unit ORDER BY leader.unit) = 1;

-- An SDK's record within the span of the same tool is about it: the first of each.
INSERT INTO live.pair
WITH within AS (
    SELECT sid, name, arg_min(unit, n) AS unit
    FROM (SELECT unnest([sid, parent_sid]) AS sid, name, n, stage.unit FROM live.call JOIN live.stage USING (n))
    WHERE sid IS NOT NULL
    GROUP BY sid, name
),
span AS (SELECT sid, name, arg_min(unit, n) AS unit FROM live.ran WHERE sid IS NOT NULL GROUP BY sid, name)
SELECT within.unit, 'sdk', span.unit, 'spans'
FROM within JOIN span USING (sid, name)
WHERE within.unit <> span.unit
QUALIFY row_number() OVER (PARTITION BY within.unit ORDER BY span.unit) = 1 AND row_number() OVER (PARTITION BY span.unit ORDER BY within.unit) = 1;

INSERT INTO live.pair FROM live.met('asked', 1, TRUE);
INSERT INTO live.pair FROM live.met('asked', 2, TRUE);
INSERT INTO live.pair FROM live.met('asked', 3, TRUE);
INSERT INTO live.pair FROM live.met('asked', 4, TRUE);
INSERT INTO live.pair FROM live.met('asked', 5, TRUE);
INSERT INTO live.pair FROM live.met('asked', 6, TRUE);
INSERT INTO live.pair FROM live.met('asked', 7, TRUE);
INSERT INTO live.pair FROM live.met('asked', 8, TRUE);
INSERT INTO live.pair FROM live.met('asked', 9, TRUE);
INSERT INTO live.pair FROM live.met('asked', 10, TRUE);
INSERT INTO live.pair FROM live.met('sdk', 1, FALSE);
INSERT INTO live.pair FROM live.met('sdk', 2, FALSE);
INSERT INTO live.pair FROM live.met('sdk', 3, FALSE);
INSERT INTO live.pair FROM live.met('sdk', 5, FALSE);
INSERT INTO live.pair FROM live.met('sdk', 10, FALSE);
INSERT INTO live.pair FROM live.met('ran', 2, FALSE);
INSERT INTO live.pair FROM live.met('ran', 3, FALSE);
INSERT INTO live.pair FROM live.met('ran', 10, FALSE);
INSERT INTO live.pair FROM live.met('mcp', 10, FALSE);

-- Which units are one action: a follower's leader may follow another, at most three times.
CREATE OR REPLACE TABLE live.root AS
SELECT unit.unit, coalesce(third.leader, second.leader, first.leader, unit.unit) AS root, first.rule
FROM (SELECT DISTINCT unit FROM live.party) unit
LEFT JOIN live.pair first ON first.unit = unit.unit LEFT JOIN live.pair second ON second.unit = first.leader
LEFT JOIN live.pair third ON third.unit = second.leader;
