"""Witnesses, both ways: the log asks them to cosign its checkpoints, and serves as one for other logs (docs/witnesses.md)."""
