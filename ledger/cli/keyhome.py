"""`agent-ledger keys home` and `keys move`: where the log's key lives."""

from pathlib import Path
from typing import Annotated

import typer

from ledger.cli import terminal
from ledger.cli.exits import CommandError
from ledger.cli.target import Data, Json, data_folder
from ledger.core.errors import LedgerError
from ledger.core.note import VerifierKey, format_vkey
from ledger.log.keys import FILE, SSH_AGENT, home_of, load_key, place_key, refuse_absent
from ledger.log.sshagent import held_keys
from ledger.log.sshwire import Identity
from ledger.storage.files import sync_folder
from ledger.storage.layout import KEY, KEY_NEXT


def home(*, data: Data = None, as_json: Json = False) -> None:
    """Where the log's key lives; of an agent, whether it is there and holds it."""
    path = data_folder(data) / KEY
    key, lives = load_key(path).key, home_of(path)
    shown: dict[str, object] = {"verifier_key": format_vkey(key), "home": lives}
    refuse_absent(path)
    if lives.startswith(SSH_AGENT):
        shown["fingerprint"] = Identity(key.public, "").fingerprint
        _refuse_absent(Path(lives.removeprefix(SSH_AGENT)), key)
    terminal.print_facts("of the log's key", shown, as_json=as_json)


def move(
    to: Annotated[
        str, typer.Argument(metavar="HOME", help="environment, or ssh-agent:SOCKET[#SHA256:FINGERPRINT].")
    ],
    *,
    data: Data = None,
) -> None:
    """Have the log use its key where it lives from now on, from the server's next start; the secret leaves the folder. Bring the key there before."""
    path = data_folder(data) / KEY
    key = load_key(path).key
    moving = path.with_name(f"{KEY}.moving")
    moving.unlink(missing_ok=True)
    if to == home_of(path):
        raise CommandError(f"the key lives there already: {to}")
    if to == FILE:
        raise CommandError(
            f"nobody hands a secret out: to have it in the folder, write it to {path} yourself"
        )
    try:
        found = place_key(moving, key.name, to).key
        if found != key:
            raise CommandError(
                f"another key lives there ({found}): bring {key} there first, or rotate to that one (docs/keys.md)"
            )
        moving.rename(path)  # what was there is not overwritten in place: disks and backups may hold it still
        sync_folder(path.parent)
    finally:
        moving.unlink(missing_ok=True)
    terminal.say(
        f"the log's key lives in {home_of(path)} from the next start on. Its secret is not in {path} any more, but may be in what this disk "
        "had before, and in backups made with --with-key: rotate the key where that matters"
    )


def prepare(data: Path | None, to: str) -> None:
    """Have the next key be one that lives elsewhere than the one in force, or with another agent.

    Raises:
        CommandError: one was prepared before.
        LedgerError: no key is there, or not clear which is meant.
    """
    folder = data_folder(data)
    current = load_key(folder / KEY).key
    if (folder / KEY_NEXT).exists():
        raise CommandError(
            f"the next key is prepared already, in {home_of(folder / KEY_NEXT)}: remove {folder / KEY_NEXT} to choose another"
        )
    place_key(folder / KEY_NEXT, current.name, to, other_than=current)


def check_key(path: Path) -> None:
    """At a server's start: refuse one that lacks the secret of its environment, and say it where an agent is not there, which may come yet.

    Raises:
        LedgerError: `key-file`.
    """
    refuse_absent(path)
    lives = home_of(path)
    if not lives.startswith(SSH_AGENT):
        return
    try:
        _refuse_absent(Path(lives.removeprefix(SSH_AGENT)), load_key(path).key)
    except (CommandError, LedgerError) as error:
        terminal.say(f"records are refused for now: {error.detail}", style="yellow")


def _refuse_absent(agent: Path, key: VerifierKey) -> None:
    if key.public not in [each.public for each in held_keys(agent)]:
        raise CommandError(f"the agent at {agent} does not hold {Identity(key.public, '').fingerprint}")
