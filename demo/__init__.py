"""A small real agent and its ledger: `make demo`."""
