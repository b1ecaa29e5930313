"""Evidence files: chosen entries with what proves them, for people who have no ledger."""
