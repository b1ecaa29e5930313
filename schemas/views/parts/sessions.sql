-- The sessions of the records touched. All that a session is made of is touched with any of it (schemas/join/0-links.sql).
CREATE OR REPLACE TABLE live.stale AS
SELECT DISTINCT submitter, unnest([request_conversation_id, trace_trace_id]) AS session_id FROM live.every_record SEMI JOIN live.touched USING (seq);
DELETE FROM live.stale WHERE session_id IS NULL;
CREATE OR REPLACE VIEW viewed.records AS SELECT * FROM main.records SEMI JOIN live.touched USING (seq);
CREATE OR REPLACE VIEW viewed.actions AS SELECT * FROM main.actions SEMI JOIN live.touched USING (seq);
