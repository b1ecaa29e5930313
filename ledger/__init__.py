"""Agent Ledger: an append-only, signed audit ledger for the actions of AI agents."""

__version__ = "0.1.0"
