"""What stands outside a ledger and looks at it: reading and verifying without trusting it."""
