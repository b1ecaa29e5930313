"""Those with whom the owner of a ledger and a witness has agreed to witness each other, by the names he gives them.

    <witness's folder>/peers/<name>.invitation     the signed note that they sent

The policy that the ledger is served with is made of them: any one of them is a quorum.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from ledger.core.errors import Code, LedgerError
from ledger.core.invitation import Invitation, open_invitation
from ledger.core.keyhistory import KeyHistory
from ledger.core.note import VerifierKey, format_vkey
from ledger.storage.files import sync_folder, write_durably
from ledger.witness.followed import Followed

INVITED: Final = "log.witness_invited"
MADE: Final = "# Made by `agent-ledger witness accept` and `revoke`: what you write here is lost.\n"
_FOLDER: Final = "peers"
_SUFFIX: Final = ".invitation"
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,39}", re.ASCII)
_QUORUM: Final = "peers"
_TAKEN: Final = frozenset({"none", "all", "any", "log", "witness", "group", "quorum", _QUORUM})


class Peer(NamedTuple):
    """Another owner: what he is called here, and what he sent."""

    name: str
    invitation: Invitation

    def ext(self) -> dict[str, str]:
        """How the log's own entries name him."""
        return {
            "log.peer": self.name,
            "log.witness": format_vkey(self.invitation.witness),
            "log.witness_url": self.invitation.url,
            "log.peer_log": format_vkey(self.invitation.log),
            "log.fingerprint": self.invitation.fingerprint,
        }


class Peers:
    """The peers in a witness's folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / _FOLDER
        self._followed = Followed(folder)

    def list(self) -> list[Peer]:
        """All of them, by name.

        Raises:
            LedgerError: a file is no invitation.
        """
        files = sorted(self._folder.glob(f"*{_SUFFIX}"))
        return [Peer(file.name.removesuffix(_SUFFIX), open_invitation(file.read_bytes())) for file in files]

    def find(self, name: str) -> Peer:
        """One of them.

        Raises:
            LedgerError: `not-found`.
        """
        for peer in self.list():
            if peer.name == name:
                return peer
        raise LedgerError(Code.NOT_FOUND, f"there is no peer {name}; `agent-ledger witness peers` lists them")

    def check_new(
        self, name: str, invitation: Invitation, own: VerifierKey, own_witness: VerifierKey
    ) -> None:
        """See that somebody can be added.

        Raises:
            LedgerError: `invalid-parameter`: the name cannot be used, or he is here already, or it is oneself.
        """
        if not _NAME.fullmatch(name) or name in _TAKEN:
            raise _bad(f"{name!a} cannot be a peer's name: a-z, 0-9 and -, and no word of a policy")
        theirs = {invitation.log.public, invitation.witness.public}
        if theirs & {own.public, own_witness.public} or invitation.log.name == own.name:
            raise _bad("it is your own invitation: send it to them, and accept theirs")
        for peer in self.list():
            if peer.name == name or theirs & {peer.invitation.log.public, peer.invitation.witness.public}:
                raise _bad(f"{peer.name} is a peer already: revoke him first")

    def add(self, name: str, note: bytes) -> None:
        """Keep somebody's invitation.

        Raises:
            OSError: it cannot be kept.
        """
        self._folder.mkdir(mode=0o700, exist_ok=True)
        write_durably(self._folder / f"{name}{_SUFFIX}", note)

    def remove(self, name: str) -> None:
        """Forget somebody.

        Raises:
            OSError: it cannot be done.
        """
        (self._folder / f"{name}{_SUFFIX}").unlink()
        sync_folder(self._folder)

    def histories(self) -> Sequence[KeyHistory]:
        """The keys of their logs: those of the handshake, with what was followed from them.

        Raises:
            LedgerError: a file is no invitation.
        """
        return [self._followed.keys(peer.invitation.log) for peer in self.list()]

    def policy(self, own: VerifierKey) -> bytes:
        """The policy that is made of them: any one of them suffices. Without any it asks for nobody."""
        peers = self.list()
        lines = [f"log {format_vkey(own)}"]
        lines += [f"witness {name} {format_vkey(each.witness)} {each.url}" for name, each in peers]
        if peers:
            lines.append(f"group {_QUORUM} any {' '.join(peer.name for peer in peers)}")
        lines.append(f"quorum {_QUORUM if peers else 'none'}")
        return (MADE + "\n".join(lines) + "\n").encode()


def may_write_policy(path: Path) -> bool:
    """Whether a policy file was made here, or is not there yet."""
    return not path.exists() or path.read_bytes().startswith(MADE.encode())


def _bad(detail: str) -> LedgerError:
    return LedgerError(Code.INVALID_PARAMETER, detail)
