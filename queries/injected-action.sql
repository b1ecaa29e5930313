-- title: Which actions did an agent take because text that it had read told it to?
-- answers: One row per action and result: the result speaks as to an assistant, an instruction in it holds words of the action's arguments that the user had not named, and its verb is what the action did (docs/queries.md). No list of indicators. A row is a lead to read, not a verdict.
-- group: injection
-- standard: OWASP LLM01
-- param attempts: boolean, default false. Also what failed or was denied.
-- param steps: boolean, default true. Only where the agent also took the other steps that the instruction names (created, changed, deleted).
-- param since: timestamp, default 1970-01-01T00:00:00Z. Only what happened from then on.
-- columns: time, agent, tool_name, tool_effect, resource_id, outcome_status, told (words of the arguments that stand in the instruction), paths (of the arguments), instruction, source_tool, source_resource_id, source_trust, session_id, submitter, source_seq, seq

WITH
-- Steps that may be the work of text: what they do is their tool's effect, or what its name says. A step that only reads is one where the text says from where.
lead AS MATERIALIZED (
    SELECT *, coalesce(sink_effect, CASE
        WHEN regexp_matches(verb, '^_*(get|list|search|find|read|check|show|fetch|query|lookup|look|view|count|describe|visit|open|browse|navigate|goto|click)(_|$)') THEN 'read'
        WHEN regexp_matches(verb, '(^|_)(delete|remove|cancel|erase|drop|wipe|unsubscribe|revoke)(_|$)') THEN 'delete'
        WHEN regexp_matches(verb, '(^|_)(pay|transfer|wire|donate|buy|purchase|refund|deposit)(_|$)') THEN 'pay'
        WHEN regexp_matches(verb, '(^|_)(send|email|mail|post|message|forward|publish|reply|write|upload|notify|submit)(_|$)') THEN 'send'
        WHEN regexp_matches(verb, '(^|_)(create|make|invite|add|book|reserve|schedule|register|subscribe)(_|$)') THEN 'create'
        WHEN regexp_matches(verb, '(^|_)(change|modify|update|set|reset|edit|replace|rename|reschedule|append|share|move|adjust)(_|$)') THEN 'update'
        END, 'execute') AS does
    FROM (SELECT *, lower(regexp_replace(regexp_replace(sink_tool, '([a-z])([A-Z])', '\1_\2', 'g'), '[^\w]', '_', 'g')) AS verb FROM flows)
    WHERE NOT named_by_user AND sink_time >= $since::TIMESTAMPTZ
        AND ($attempts OR coalesce(sink_status, 'unknown') NOT IN ('failure', 'denied', 'cancelled'))
),
said AS MATERIALIZED (
    SELECT seq, regexp_replace(regexp_replace(lower(CASE WHEN starts_with(outcome_result, '"') THEN json_extract_string(outcome_result, '$') ELSE outcome_result END),
        '\\\n\s*\\?|\\n|¦', ' ', 'g'), '(\d),(\d{3})\b', '\1\2', 'g') AS body
    FROM actions WHERE seq IN (SELECT source_seq FROM lead)
),
-- Where it speaks to an assistant: of its instructions, its task, itself, or to keep something from the user. From the first of these places, with what its
-- paragraph says just before it, to a little after the last.
spoken AS MATERIALIZED (
    SELECT seq, regexp_replace(substr(body, greatest(1, cue - 120), least(cue - 1, 120)), '^.*\n\s*(?:\n|[-=_*#]{2,})', '', 's')
        || replace(substr(body, cue, length(body) - strpos(reverse(body), '¦') - cue + 600), '¦', '') AS body
    FROM (SELECT *, strpos(body, '¦') AS cue FROM (
        SELECT seq, regexp_replace(body, '(?:'
            || '(?:ignore|disregard|forget|override)\W+(?:\w+\W+){0,3}(?:\w*instructions?|task|prompt|rules|above|previous|everything)|\b(?:previous|prior|above|your|original|new|additional|updated) (?:\w*instructions?|directives?)\b|'
            || '\b(?:before|after|once) you\b[^.\n]*\b(?:task|do|done|complete|solve|answer|finish)|\bbefore (?:anything else|(?:you )?(?:answer|respond|reply|continu|proceed)(?:ing|e)?\b)|\bthe task (?:that )?i\b|\bi gave you\b|\byour (?:new |next |current )?(?:task|goal|step|user)\b|\bnew task\b|\bstop what you\b|'
            || '\b(?:ai|(?:large )?language) models?\b|\b(?:ai|llm|virtual|digital|automated|helpful) (?:assistants?|agents?|bots?)\b|\b(?:note|notice|message|attention|instructions?|hey|hi|hello|dear)\W{1,3}(?:(?:to|for|any|all|the|every)\W+){0,3}(?:\w+ )?(?:assistants?|agents?|ais?|llms?|chatbots?|bots?|copilots?)\b|'
            || '\b(?:if|as|since|because) (?:you are )?an? (?:\w+ ){0,2}(?:ai|llm|assistant|agent|bot|model)\b|\b(?:ais?|llms?|agents?|assistants?|models?) (?:that |who )?(?:read|process|pars|summari[sz])(?:e?s|ing)?\b|\bto you,|\byou (?:should|must|need to|have to|can) (?:use|call|do|run|execute)\b|\byou are (?:now )?an? \w*\W?(?:ai|assistant|agent)\b|'
            || '\b(?:do not|don.?t|never|without) (?:tell|inform|notify|mention|alert|ask|reveal|disclose|report)(?:ing)?\W+(?:(?:\w+\W+){0,2}(?:users?|anyone|anybody|them)|it|this)\b|\b(?:system|admin|administrator|developer) (?:message|prompt|note|override)\b|'
            || '(?:^|\n)\W*(?:system|human|assistant) ?:|\[/?(?:inst|system)\]|#+ ?(?:new )?instructions?\b|\b(?:ai|llm|agent|assistant)s? instructions?\b|<!--\W*(?:ai|llm|agent|assistant)s?\b|'
            || '</?(?:system|instructions?|inst|information)>|\btodo:\s|\bimportant(?: message|!))', '¦\0', 'g') AS body
        FROM said
    ))
    WHERE cue > 0
),
-- What of that tells to do something: from a verb at the beginning of a sentence up to the end of the paragraph, or 500 characters.
instructed AS MATERIALIZED (
    SELECT seq, list_transform(regexp_extract_all(body,
        '(?:^|¶\s*\W{0,3}|[.!?:;]+[\s"''*]+|["''>(\]]\s*|\binstructions?\W*\n\s*|\bbefore [^\W\d]\w*(?: \w+)?,\s*|\b(?:please|kindly|todo|then|finally)[,:]?\s+|\byou (?:should|must|need to|have to|will|shall) )(?:please |kindly |do |also |first |then |now )*(?:'
        || 'send|forward|transfer|pay|wire|donate|buy|purchase|order|book|reserve|rent|cancel|delete|remove|erase|wipe|drop|create|make|add|insert|write|append|update|modify|change|set|reset|replace|edit|rename|move|copy|upload|download|'
        || 'post|publish|share|invite|grant|give|allow|approve|accept|confirm|subscribe|unsubscribe|visit|open|click|go|navigate|browse|follow|fetch|get|read|retrieve|check|search|look|find|list|show|print|output|reveal|tell|say|reply|'
        || 'respond|answer|e-?mail|mail|message|notify|contact|call|concatenate|collect|summari[sz]e|recommend|schedule|reschedule|register|sign|log|enter|type|use|run|execute|install|submit|provide|include|ask|perform|start|stop|'
        || 'disable|enable|ignore|disregard|forget|do)\b[^¶]*'),
        lambda i: {'body': left(i, 500), 'words': ' ' || array_to_string(regexp_extract_all(left(i, 500), '[\pL\pN]+'), ' ') || ' '}) AS instructions
    FROM (SELECT seq, regexp_replace(body, '\n\s*\n|\n\s*(?:- )?\w[\w ]{0,30}: |</\w+>', ' ¶ ', 'g') AS body FROM spoken)
),
-- Each carried piece that is more than one plain word, with the instruction that it stands in.
piece AS MATERIALIZED (
    SELECT lead.* EXCLUDE (carried, paths), carried.body AS told, carried.path, list_filter(instructions, lambda i: contains(i.words, carried.words)
        OR (length(carried.words) > 10 AND contains(replace(i.words, ' ', ''), replace(carried.words, ' ', ''))))[1] AS instruction  -- an account may be written in groups
    FROM (
        SELECT * EXCLUDE (carried), {'body': carried[1], 'path': carried[2], 'words': ' ' || array_to_string(regexp_extract_all(lower(carried[1]), '[\pL\pN]+'), ' ') || ' '} AS carried
        FROM (SELECT * EXCLUDE (carried), unnest(list_zip(carried, paths)) AS carried FROM lead)
        WHERE regexp_matches(carried[1], '[\d@_]|\w[./]\w|\w\W+\w')
    ) lead JOIN instructed ON instructed.seq = source_seq
),
injected AS (
    SELECT * FROM piece
    WHERE instruction IS NOT NULL AND CASE does
        WHEN 'read' THEN regexp_matches(told, '\w\.[a-zA-Z]{2,}') AND NOT contains(told, '@') AND regexp_matches(instruction.words, ' (visit|open|browse|go|click|fetch|get|read|follow|check|look|download) ')
        WHEN 'delete' THEN regexp_matches(instruction.words, ' (delete|remove|erase|cancel|drop|wipe|unsubscribe|revoke) ')
        WHEN 'update' THEN regexp_matches(instruction.words, ' (change|modify|update|set|reset|edit|replace|rename|reschedule|append|add|share|move|adjust) ')
        WHEN 'create' THEN regexp_matches(instruction.words, ' (create|make|invite|add|book|reserve|schedule|register|subscribe) ')
        WHEN 'send' THEN regexp_matches(instruction.words, ' (send|email|mail|post|message|forward|publish|share|reply|write|tell|upload|notify|submit) ')
        WHEN 'pay' THEN regexp_matches(instruction.words, ' (pay|transfer|send|wire|donate|buy|purchase|refund|deposit) ')
        ELSE TRUE END
),
-- What else the session did: an instruction of several steps was followed when they were taken.
done AS (
    SELECT submitter, session_id,
        bool_or(regexp_matches(verb, 'delete|remove|cancel|erase|drop|wipe|revoke')) AS deleted,
        bool_or(regexp_matches(verb, 'update|modif|change|set|edit|move|schedule|share|add|append|rename')) AS updated,
        bool_or(regexp_matches(verb, 'create|make|add|invite|book|reserve|schedule|register|subscribe')) AS created
    FROM (SELECT *, concat_ws(' ', tool_effect, lower(tool_name)) AS verb FROM actions WHERE coalesce(outcome_status, 'unknown') NOT IN ('failure', 'denied', 'cancelled'))
    GROUP BY ALL
)
SELECT
    sink_time AS "time", any_value(coalesce(identity_agent_id, identity_agent_name)) AS agent, sink_tool AS tool_name, does AS tool_effect, coalesce(sink_destination, sink_resource_id) AS resource_id, sink_status AS outcome_status,
    list(told ORDER BY length(told) DESC, injected.path) AS told, list(injected.path ORDER BY length(told) DESC, injected.path) AS paths, trim(any_value(instruction.body)) AS instruction,
    source_tool, source_resource_id, source_trust, done.session_id, injected.submitter, injected.source_seq, sink_seq AS seq
FROM injected JOIN actions ON actions.seq = sink_seq
JOIN done ON done.submitter = actions.submitter AND done.session_id = actions.session_id
WHERE NOT $steps OR (
    (deleted OR NOT regexp_matches(instruction.words, ' (delete|remove|erase|cancel) '))
    AND (updated OR NOT regexp_matches(instruction.words, ' (change|modify|reset|reschedule) '))
    AND (created OR NOT regexp_matches(instruction.words, ' (create|invite|book|reserve) ')))
GROUP BY ALL
ORDER BY "time", seq, injected.source_seq
