-- title: Which entries of calls with one organisation are here, for it to have?
-- answers: One row per call that was sent to it or came from it: entries that hold nothing but the call, and so what is given to it as evidence without contents (`agent-ledger evidence for-them.zip --query calls-with-a-peer --param peer=… --no-contents`). What came without a receipt is there as its caller claims.
-- group: integrity
-- standard: NIST SP 800-53 AU-10
-- param peer: text, required. The origin of its log.
-- param since: timestamp, default 1970-01-01T00:00:00Z. Only what was recorded from then on, by this log's clock.
-- columns: recorded_at, type (call.sent or call.received), call, receipt (verified, none or refused, of what was received), seq

SELECT recorded_at, type, ext->>'$."call.id"' AS call, ext->>'$."call.receipt"' AS receipt, seq
FROM records
WHERE type IN ('call.sent', 'call.received') AND ext->>'$."call.peer"' = $peer AND recorded_at >= $since::TIMESTAMPTZ
ORDER BY seq
