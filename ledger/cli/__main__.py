"""`python -m ledger.cli`: the command, where it is not installed."""

from ledger.cli.entry import main

main()
