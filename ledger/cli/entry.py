"""The command `agent-ledger`, also where what it needs is not installed: then it says so. The base install is the SDK alone."""

import sys
from typing import NoReturn

USAGE = 2  # as in ledger.cli.exits, which may not be there to be imported


def main() -> NoReturn:
    """Run the command."""
    try:
        from ledger.cli.main import main as run  # noqa: PLC0415 - what is tried here
    except ModuleNotFoundError as error:
        sys.stderr.write(f"error: {missing(error)}\n")
        sys.exit(USAGE)
    run()


def missing(error: ModuleNotFoundError) -> str:
    """Which install lacks what a command needs.

    Raises:
        ModuleNotFoundError: again, where it is of the project itself: that is no question of what is installed.
    """
    if error.name is None or error.name.partition(".")[0] == "ledger":
        raise error
    # `agent-ledger[cli]` would be asked of a public index, where the name is not this project's.
    extra = "cli" if error.name.partition(".")[0] in {"typer", "click", "rich", "uvicorn"} else "server"
    what = "the command line" if extra == "cli" else "this command, which works on a log itself,"
    return f"{what} needs {error.name}, which is not installed: pip install '.[{extra}]' in its checkout"
