"""Exit statuses, and the errors that end a command: one line on stderr, no stack trace."""

import enum


class Exit(enum.IntEnum):
    """What the command's exit status means."""

    GOOD = 0
    FINDINGS = 1
    """Verification found something."""
    REFUSED = 2
    """It cannot be done as it was asked: an option, a file, a token; or the ledger refused."""
    UNREACHABLE = 3
    """No ledger answers there, or it cannot answer now."""
    UNHEARD = 141
    """Who read the output has left, as `head` does: what a shell calls the end by SIGPIPE."""


class CommandError(Exception):
    """Ends the command.

    Attributes:
        detail: a sentence: what is wrong, where, what to do.
        status: the exit status.
    """

    def __init__(self, detail: str, status: Exit = Exit.REFUSED) -> None:
        super().__init__(detail)
        self.detail = detail
        self.status = status
