"""The cosignatures of one checkpoint, as they come in; and the newest checkpoint that the quorum cosigned, as it stands on the disk."""

from pathlib import Path
from typing import Final

from ledger.core.errors import LedgerError
from ledger.core.keyhistory import KeyHistory
from ledger.core.note import open_note, parse_note
from ledger.core.policy import Policy
from ledger.storage.files import write_durably
from ledger.storage.schema import Head
from ledger.witness.asking import Cosignature

FILE: Final = "witnessed.checkpoint"


class Collecting:
    """What the witnesses said of one checkpoint of the log."""

    def __init__(self, head: Head, policy: Policy) -> None:
        """Nothing so far."""
        self.head, self._policy = head, policy
        self.text = parse_note(head.note).text
        self.cosignatures: dict[str, Cosignature] = {}

    def add(self, name: str, cosignature: Cosignature) -> None:
        """A witness, by the policy's name for it, has cosigned."""
        self.cosignatures[name] = cosignature

    def is_met(self) -> bool:
        """Whether the quorum has."""
        return self._policy.is_met([self._policy.witnesses[name].key for name in self.cosignatures])

    def cosigned(self) -> Head:
        """The checkpoint with the witnesses' lines after the log's own, in the policy's order."""
        lines = [self.cosignatures[name].line for name in self._policy.witnesses if name in self.cosignatures]
        return self.head._replace(note=self.head.note + "".join(lines).encode())


def keep(data: Path, cosigned: Head) -> None:
    """Put the newest checkpoint that the quorum cosigned on the disk.

    Raises:
        OSError: it cannot be.
    """
    write_durably(data / FILE, cosigned.note)


def read_kept(data: Path, own: KeyHistory, policy: Policy) -> Head | None:
    """What `keep` kept, where it is signed by the log and meets the policy as it is today.

    Raises:
        OSError: it is there and cannot be read.
    """
    try:
        note = (data / FILE).read_bytes()
        checkpoint = own.open(note)
        opened = open_note(note, [*own.keys, *policy.witness_keys()])
    except (FileNotFoundError, LedgerError):
        return None  # another policy, or somebody's edit: the witnesses are asked anew, and they remember
    if not policy.is_met(opened.verified_keys):
        return None
    return Head(checkpoint.size, checkpoint.root, note, "")
