-- AD12: Failed tool calls by error class.
-- An error without a class (outcome.error_type is _OTHER) goes by the first 40 characters of what the tool said.
SELECT CASE outcome_error_type WHEN '_OTHER' THEN left(outcome_result->>'$', 40) ELSE outcome_error_type END AS error_class,
       count(*) AS calls
FROM actions
WHERE outcome_status = 'failure'
GROUP BY error_class
ORDER BY calls DESC, error_class
