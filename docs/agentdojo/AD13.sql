-- AD13: Runs in which the same call (tool and arguments) was executed three times or more.
SELECT count(DISTINCT run) AS runs
FROM (
    SELECT request_conversation_id AS run
    FROM actions
    GROUP BY request_conversation_id, tool_name, tool_arguments
    HAVING count(*) >= 3
)
