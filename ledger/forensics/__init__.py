"""Questions to the log: a sandboxed SQL worker, the joined view, the named queries."""
