"""What the log's own entries say so far: whose signatures count, and what was erased. Each of them changes it for the entries after it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from ledger.core.ed25519 import check_public_key
from ledger.core.entry import OWN_SUBMITTER
from ledger.core.errors import Code, LedgerError
from ledger.core.text import parse_base64

GRANTED: Final = "log.access_granted"
REVOKED: Final = "log.access_revoked"
ERASED: Final = "log.content_erased"
TYPES: Final = (GRANTED, REVOKED, ERASED)


@dataclass(frozen=True, slots=True)
class Standing:
    """The state after some entry. Never changed: a later one is made of it.

    Attributes:
        agent_keys: the keys in force, key id → raw Ed25519 public key.
        given: every key id that was ever granted; one is never given to a second key.
        erased: seq → members of that entry which the log says were erased.
    """

    agent_keys: Mapping[str, bytes] = field(default_factory=dict)
    given: frozenset[str] = frozenset()
    erased: Mapping[int, frozenset[str]] = field(default_factory=dict)

    def after(self, record: Mapping[str, Any]) -> "Standing":
        """What holds once one of the log's own records is appended.

        Raises:
            LedgerError: `key-exists` (a key id that was given before), `reserved-name`, `invalid-public-key`.
        """
        ext = record.get("ext", {})
        if record["type"] == GRANTED and "log.public_key" in ext:
            return self._granted(str(ext.get("log.key_id", "")), str(ext["log.public_key"]))
        if record["type"] == REVOKED:
            left = {key: public for key, public in self.agent_keys.items() if key != ext.get("log.key_id")}
            return replace(self, agent_keys=left)
        if record["type"] == ERASED:
            erased = dict(self.erased)
            for seq, member in ext.get("log.erased", []):
                erased[seq] = erased.get(seq, frozenset()) | {member}
            return replace(self, erased=erased)
        return self

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
