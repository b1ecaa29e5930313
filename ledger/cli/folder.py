"""A data folder of one's own: what `init`, `serve`, `token` and `keys` share."""

from pathlib import Path

from ledger.cli.target import CLI_TOKEN
from ledger.log.files import write_durably
from ledger.trust.tokens import Role, TokenStore

TOKENS = "tokens.json"
CLI_NAME = "cli"


def token_store(folder: Path) -> TokenStore:
    """The tokens of a data folder.

    Raises:
        LedgerError: `token-file`.
    """
    return TokenStore(folder / TOKENS)


def ensure_cli_token(folder: Path) -> bool:
    """Make the admin token that commands on this machine find by themselves, where the folder has no token at all.

    Returns:
        Whether one was made.

    Raises:
        LedgerError: `token-file`.
        OSError: the token cannot be written.
    """
    tokens = token_store(folder)
    if tokens.list():
        return False
    secret = tokens.create(CLI_NAME, [Role.ADMIN])
    write_durably(folder / CLI_TOKEN, f"{secret}\n".encode())
    return True
