"""The page at `/console`: its files, the headers they are served with, and who is signed in. The routes are `ledger.api.console`."""
