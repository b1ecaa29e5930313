"""What the log's own entries say so far: who may do what, whose signatures count, what is kept and what is gone. Each of them changes it for the entries
after it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from ledger.core.ed25519 import check_public_key
from ledger.core.entry import OWN_SUBMITTER
from ledger.core.errors import Code, LedgerError
from ledger.core.keyhistory import KEY_REVOKED, ROTATED, KeyHistory
from ledger.core.peerkeys import TYPES as PEERS
from ledger.core.peerkeys import PeerKeys
from ledger.core.ranges import Ranges
from ledger.core.text import parse_base64
from ledger.log.access import Access
from ledger.log.keeping import ERASED, GONE_PERSONS, PLACES, Keeping, told_of
from ledger.log.keeping import TYPES as KEEPING

GRANTED: Final = "log.access_granted"
REVOKED: Final = "log.access_revoked"
TYPES: Final = (GRANTED, REVOKED, *PEERS, *KEEPING)


@dataclass(frozen=True, slots=True)
class Standing:
    """The state after some entry. Never changed: a later one is made of it.

    Attributes:
        keys: the log's own.
        agent_keys: the keys in force, key id → raw Ed25519 public key.
        given: every key id that was ever granted; one is never given to a second key.
        access: the credentials in force.
        keeping: retention policies, legal holds, and what was removed.
        peers: the keys of others' logs: accepted, and followed.
    """

    keys: KeyHistory = field(default_factory=lambda: KeyHistory(()))
    agent_keys: Mapping[str, bytes] = field(default_factory=dict)
    given: frozenset[str] = frozenset()
    access: Access = field(default_factory=Access)
    keeping: Keeping = field(default_factory=Keeping)
    peers: PeerKeys = field(default_factory=PeerKeys)

    def after(self, record: Mapping[str, Any], seq: int) -> "Standing":
        """What holds once one of the log's own records is appended as entry `seq`.

        Raises:
            LedgerError: `key-exists` (a key id that was given before), `reserved-name`, `invalid-public-key`; `token-exists` and others of
                `Access.granted`; `held` and others of `Keeping.after`; those of `KeyHistory.after`.
        """
        ext = record.get("ext", {})
        if record["type"] in (GRANTED, REVOKED):
            return self._access(record, ext, seq)
        if record["type"] in (ROTATED, KEY_REVOKED):
            return replace(self, keys=self.keys.after(record["type"], ext, seq))
        if record["type"] in PEERS:
            return replace(self, peers=self.peers.after(record["type"], ext))
        if record["type"] in KEEPING:
            return replace(self, keeping=self.keeping.after(record["type"], ext, seq))
        return self

    def after_erasures(self, records: Sequence[Mapping[str, Any]], seq: int) -> "Standing":
        """What holds once own records that all say what was erased are appended from entry `seq` on: what is gone is copied once, not for each.

        Raises:
            LedgerError: `held`.
        """
        exts = [record.get("ext", {}) for record in records]
        told = {name: [each for ext in exts for each in ext.get(name, ())] for name in (PLACES, GONE_PERSONS)}
        keeping = self.keeping.after(ERASED, told, seq)
        erasing = keeping.erasing | Ranges([(seq, seq + len(records))])
        each = tuple(told_of(ext, seq + at) for at, ext in enumerate(exts))
        return replace(self, keeping=replace(keeping, erasing=erasing, told=(*self.keeping.told, *each)))

    def _access(self, record: Mapping[str, Any], ext: Mapping[str, Any], seq: int) -> "Standing":
        """A credential or an agent's key, granted or revoked."""
        if record["type"] == GRANTED and "log.credential" in ext:
            return replace(self, access=self.access.granted(ext, str(record["time"]), seq))
        if record["type"] == REVOKED and "log.name" in ext:
            return replace(self, access=self.access.revoked(ext, str(record["time"])))
        return self._agent(record["type"], ext)

    def _agent(self, record_type: str, ext: Mapping[str, Any]) -> "Standing":
        """An agent's key, granted or revoked."""
        if record_type == REVOKED:
            left = {key: public for key, public in self.agent_keys.items() if key != ext.get("log.key_id")}
            return replace(self, agent_keys=left)
        if "log.public_key" not in ext:
            return self
        return self._granted(str(ext.get("log.key_id", "")), str(ext["log.public_key"]))

    def _granted(self, key_id: str, text: str) -> "Standing":
        try:
            public = parse_base64(text)
        except ValueError as error:
            raise LedgerError(Code.INVALID_PUBLIC_KEY, f"the public key of {key_id!a} is {error}") from None
        check_public_key(public)
        if key_id == OWN_SUBMITTER:  # persons it disclosed would pass for those whose salts the log made
            raise LedgerError(Code.RESERVED_NAME, f"{key_id} is the log itself: no agent's key is called so")
        if key_id in self.given:
            raise LedgerError(
                Code.KEY_EXISTS,
                f"the key id {key_id!a} was given before: another key needs another id, or what the first one signed would be "
                "checked under the second",
            )
        return replace(
            self, agent_keys={**self.agent_keys, key_id: public}, given=self.given | frozenset({key_id})
        )
