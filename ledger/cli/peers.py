"""`agent-ledger witness invite | accept | revoke | follow | peers`: two owners witness each other, without anybody above them."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from ledger.cli import terminal
from ledger.cli.exits import CommandError
from ledger.cli.objects import fetching_named
from ledger.cli.target import Data, HeadAnchor, Json, WitnessFolder, data_folder, witness_folder
from ledger.core.invitation import Invitation, is_fingerprint_of, open_invitation, sign_invitation
from ledger.core.note import fingerprint, format_vkey
from ledger.core.peerkeys import ADDED, REMOVED
from ledger.log.log import Log
from ledger.records.bounded import read_bounded
from ledger.storage.files import write_durably
from ledger.witness.cosigning import Cosigning
from ledger.witness.peers import INVITED, Peer, Peers, may_write_policy

POLICY = "peers.policy"

PolicyPath = Annotated[
    Path | None,
    typer.Option(
        "--policy",
        help=f"The policy file that is made of all peers, for `serve --witness-policy` (default: {POLICY} in the data folder).",
    ),
]
Name = Annotated[str, typer.Argument(help="What you call them: a-z, 0-9 and -.")]


def invite(
    output: Annotated[Path, typer.Argument(metavar="FILE", help="The file to write, and to send to them.")],
    *,
    witness_url: Annotated[
        str, typer.Option("--witness-url", help="Where your witness is reached from outside.")
    ],
    data: Data = None,
    folder: WitnessFolder = None,
    head_anchor: HeadAnchor = None,
    as_json: Json = False,
) -> None:
    """Write what another owner needs to witness your log and to be witnessed by you. Run it while the ledger is stopped: it is an entry of the log."""
    witness = Cosigning(witness_folder(folder)).key
    with _opened(data, head_anchor) as log:
        note = sign_invitation(log.signer, witness, witness_url)
        own = open_invitation(note)
        ext = {"log.witness": format_vkey(own.witness), "log.witness_url": own.url}
        written = log.append_own(INVITED, {**ext, "log.fingerprint": own.fingerprint})
    output.write_bytes(note)
    shown = {"file": str(output), "fingerprint": own.fingerprint, "recorded_as": written.seq}
    terminal.print_facts("your invitation", shown, as_json=as_json)
    terminal.say(f"send {output}, and read its fingerprint out to them yourself: {own.fingerprint}")


def accept(
    name: Name,
    file: Annotated[Path, typer.Argument(help="What they sent.")],
    *,
    yes: Annotated[
        str | None,
        typer.Option(
            "--yes", metavar="FINGERPRINT", help="Its fingerprint, as they read it out (default: asks)."
        ),
    ] = None,
    data: Data = None,
    folder: WitnessFolder = None,
    policy: PolicyPath = None,
    head_anchor: HeadAnchor = None,
    as_json: Json = False,
) -> None:
    """Witness another owner's log, and have yours witnessed by him. Run it while the ledger is stopped: it is an entry of the log."""
    note = read_bounded(file)
    invitation = open_invitation(note)
    place, path = witness_folder(folder), _policy(policy, data)
    cosigning, peers = Cosigning(place), Peers(place)
    peer = Peer(name, invitation)
    with _opened(data, head_anchor) as log:
        own = log.keys.current
        peers.check_new(name, invitation, own, cosigning.key)
        _confirm(invitation, yes)
        written = log.append_own(
            ADDED, peer.ext()
        )  # first: whatever comes of the rest, the log says that it was decided
        cosigning.watch(invitation.log)
        peers.add(name, note)
        write_durably(path, peers.policy(own))
    shown = {
        "peer": name,
        "log": invitation.log.name,
        "witness": invitation.witness.name,
        "fingerprint": invitation.fingerprint,
        "policy": str(path),
        "recorded_as": written.seq,
    }
    terminal.print_facts("your peer", shown, as_json=as_json)
    terminal.say(
        f"serve the ledger with --witness-policy {path}, and see that they accept your invitation too"
    )


def revoke(
    name: Name,
    *,
    data: Data = None,
    folder: WitnessFolder = None,
    policy: PolicyPath = None,
    head_anchor: HeadAnchor = None,
) -> None:
    """Witness a peer's log no more, and ask his witness no more. Run it while the ledger is stopped: it is an entry of the log."""
    place, path = witness_folder(folder), _policy(policy, data)
    cosigning, peers = Cosigning(place), Peers(place)
    peer = peers.find(name)
    with _opened(data, head_anchor) as log:
        written = log.append_own(REMOVED, peer.ext())
        if peer.invitation.log in [key for each in cosigning.logs() for key in each.keys]:
            cosigning.unwatch(peer.invitation.log.name, peer.invitation.log)
        peers.remove(name)
        write_durably(path, peers.policy(log.signer.key))
    terminal.say(
        f"{name} is no peer any more (entry {written.seq}). What was seen of his log is kept, and so is what he cosigned of yours. Serve the "
        f"ledger again with --witness-policy {path}"
    )


def follow(
    file: Annotated[Path, typer.Argument(help="What their `agent-ledger keys proof` printed.")],
    *,
    folder: WitnessFolder = None,
) -> None:
    """Follow a log that has rotated its key, from the key that is witnessed here. A ledger hands its proof to the witnesses it asks by itself."""
    history = Cosigning(witness_folder(folder)).follow(read_bounded(file))
    terminal.say(f"{history.origin} signs with {history.current}, fingerprint {fingerprint(history.current)}")


def peers(
    *,
    folder: WitnessFolder = None,
    keys: Annotated[
        bool,
        typer.Option(
            "--keys",
            help="Only the verifier keys of their logs as they were accepted, one a line: for recorders, who learn later ones from your ledger.",
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Those with whom you have agreed to witness each other."""
    known = Peers(witness_folder(folder))
    found, signing = known.list(), [each.current for each in known.histories()]
    if keys:
        sys.stdout.writelines(f"{format_vkey(peer.invitation.log)}\n" for peer in found)
    elif terminal.wants_json(as_json):
        terminal.print_json(
            [
                {
                    "name": peer.name,
                    "url": peer.invitation.url,
                    **_shown(peer),
                    "current_key": format_vkey(key),
                }
                for peer, key in zip(found, signing, strict=True)
            ]
        )
    else:
        terminal.print_table(
            ["peer", "log", "witness", "fingerprint"], [(peer.name, *_shown(peer).values()) for peer in found]
        )


def _shown(peer: Peer) -> dict[str, str]:
    invitation = peer.invitation
    return {
        "log": invitation.log.name,
        "witness": invitation.witness.name,
        "fingerprint": invitation.fingerprint,
    }


def _confirm(invitation: Invitation, given: str | None) -> None:
    """Have a person compare: the file may have come by anybody.

    Raises:
        CommandError: it is another fingerprint, or nobody can be asked.
    """
    if given is None:
        if not sys.stdin.isatty():
            raise CommandError(
                "nobody can be asked here: give the fingerprint that they read out, with --yes"
            )
        terminal.say(
            f"log      {invitation.log.name}\nwitness  {invitation.witness.name} at {invitation.url}"
        )
        terminal.say("Have its owner read the fingerprint out to you, not from what he sent, and type it.")
        given = typer.prompt("fingerprint", err=True)
    if not is_fingerprint_of(invitation, given or ""):
        raise CommandError(
            "that is not the fingerprint of this invitation: it is not what its owner made, or you mistyped; nothing was done"
        )


def _policy(policy: Path | None, data: Data) -> Path:
    path = policy or data_folder(data) / POLICY
    if not may_write_policy(path):
        raise CommandError(
            f"{path} was written by hand: name another with --policy, and take from it what you want"
        )
    return path


@contextmanager
def _opened(data: Data, head_anchor: HeadAnchor) -> Iterator[Log]:
    folder = data_folder(data)
    with fetching_named(folder) as fetch:
        log = Log.open(folder, anchor=head_anchor, fetch=fetch)
        try:
            yield log
        finally:
            log.close()
