"""What an investigator asks about the agent's afternoon, a week later: three questions, as SQL over the ledger's view `actions`.

`$conversation` keeps to the conversation of this run.
"""

from typing import NamedTuple


class Asked(NamedTuple):
    """A question in words and as SQL."""

    words: str
    sql: str


DENIED = Asked(
    "What did policy deny, why, and on whose behalf?",
    """
SELECT tool_name AS tool, resource_id AS "to", format('{:.2f}', CAST(tool_facts->>'amount_minor' AS INTEGER) / 100) AS eur,
       policy_reason AS why, request_user AS "for"
FROM actions
WHERE request_conversation_id = $conversation AND policy_effect = 'deny'
ORDER BY first_seq
""",
)

LET_THROUGH = Asked(
    "What left the office although policy noted something, because that rule is only watched?",
    """
SELECT tool_name AS tool, tool_arguments->>'subject' AS what, length(tool_arguments->>'body') AS characters,
       policy_reason AS noted, resource_destination AS "to"
FROM actions
WHERE request_conversation_id = $conversation AND policy_mode = 'monitor' AND policy_reason IS NOT NULL
  AND outcome_status = 'success'
ORDER BY first_seq
""",
)

WHOSE_WORDS = Asked(
    "Whose idea was that? The words, in what the agent had read, that name where money or mail was to go.",
    """
SELECT acted.tool_name AS tool, source.resource_id AS "read in", source.resource_trust AS trust,
       list_filter(string_split(source.outcome_result->>'$', chr(10)), lambda line: contains(line, acted.resource_destination))[1] AS words
FROM actions AS acted
JOIN actions AS source ON list_contains(from_json(acted.trace_derived_from, '["VARCHAR"]'), source.action_id)
WHERE acted.request_conversation_id = $conversation AND acted.policy_reason IS NOT NULL
  AND contains(source.outcome_result->>'$', acted.resource_destination)
ORDER BY acted.first_seq
""",
)

QUESTIONS = (DENIED, LET_THROUGH, WHOSE_WORDS)
