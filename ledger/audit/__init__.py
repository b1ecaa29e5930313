"""Verification: reads what is stored as an outsider would, and says what holds."""
