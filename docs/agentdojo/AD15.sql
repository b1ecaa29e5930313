-- AD15: How many tool results did the injection detector withhold?
SELECT count(*) AS results FROM actions WHERE outcome_result->>'$' = '<Data omitted because a prompt injection was detected>'
