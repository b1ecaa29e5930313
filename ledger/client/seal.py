"""Sealed records: commitments made and signed by the agent, which chooses what of them the ledger is shown (docs/record.md).

{"record": <canonical, with commitments>, "signature": {"key", "sig"}, "disclosures": [{"member", "salt", "value"}, …]}
"""

import os
import re
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final

import msgspec

from ledger.client.keyfile import AgentKey
from ledger.core import canonical
from ledger.core.entry import SALT_BYTES, record_signing_input
from ledger.records.commit import CONTENTS_BY_FACET, PERSONS_BY_FACET, commitment_hex

Disclose = Callable[[str, str], bool] | Collection[str] | None
KNOWN_ARGUMENTS: Final = 10_000  # of actions whose approval may still come
_COMMITTED: Final = re.compile(rb'\{\s*"commitment"\s*:\s*"([0-9a-f]{64})"\s*\}')


class Seal:
    """Seals records for one log."""

    def __init__(self, key: AgentKey, origin: str, disclose: Disclose = None) -> None:
        """A seal.

        Args:
            key: the agent's.
            origin: the log's name: a seal is worth nothing in another log.
            disclose: which contents and persons the ledger is shown: their members (`tool.arguments`), or a function of a member and the
                record's type; all of them when None.
        """
        self._key, self._origin, self._disclose = key, origin, disclose
        self._arguments: OrderedDict[str, str] = OrderedDict()

    def line(self, record: Mapping[str, Any]) -> bytes:
        """A record as it is sent.

        Args:
            record: complete; contents as `msgspec.Raw`.

        Raises:
            LedgerError: a member is none that can be signed.
            OSError: a salt, or what is withheld, cannot be kept.
        """
        sealed = {
            name: dict(value) if isinstance(value, Mapping) else value for name, value in record.items()
        }
        disclosures: list[dict[str, Any]] = []
        for facet, members in CONTENTS_BY_FACET:
            for name, path in members:
                if name in sealed.get(facet, ()):
                    value = bytes(sealed[facet][name])
                    sealed[facet][name] = self._committed(record, path, value, disclosures)
        for facet, members in PERSONS_BY_FACET:
            for name, path in members:
                if name in sealed.get(facet, ()):
                    value = msgspec.json.encode(sealed[facet][name])
                    sealed[facet][name] = self._committed(
                        record, path, value, disclosures, person=sealed[facet][name]
                    )
        self._bind_approval(sealed)
        encoded = canonical.dumps(sealed)
        signature = {
            "key": self._key.key_id,
            "sig": self._key.sign(record_signing_input(self._origin, encoded)),
        }
        return msgspec.json.encode(
            {"record": msgspec.Raw(encoded), "signature": signature, "disclosures": disclosures}
        )

    def _committed(
        self,
        record: Mapping[str, Any],
        path: str,
        value: bytes,
        disclosures: list[dict[str, Any]],
        *,
        person: Any = None,
    ) -> str:
        """The commitment of a value, which is disclosed or kept."""
        if match := _COMMITTED.fullmatch(value):
            return match[1].decode()  # the caller keeps it, and its salt
        salt = self._key.salt_of(person) if person is not None else os.urandom(SALT_BYTES)
        if self._is_disclosed(path, str(record["type"])):
            disclosures.append({"member": path, "salt": salt.hex(), "value": msgspec.Raw(value)})
        else:
            self._key.keep(str(record["id"]), path, salt, value)
        return commitment_hex(salt, value)

    def _is_disclosed(self, path: str, record_type: str) -> bool:
        if self._disclose is None:
            return True
        if callable(self._disclose):
            return self._disclose(path, record_type)
        return path in self._disclose

    def _bind_approval(self, sealed: dict[str, Any]) -> None:
        """An approval names the commitment of the arguments that were approved."""
        action, kind = str(sealed.get("action_id")), sealed["type"]
        arguments = sealed.get("tool", {}).get("arguments")
        if kind == "action.intent" and arguments is not None:
            self._arguments[action] = arguments
            if len(self._arguments) > KNOWN_ARGUMENTS:
                self._arguments.popitem(last=False)
        elif kind == "action.approval" and action in self._arguments:
            sealed.setdefault("approval", {}).setdefault("arguments_commitment", self._arguments[action])
