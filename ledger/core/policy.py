"""Whose word counts: logs, witnesses and a quorum of them (c2sp.org/tlog-policy, of 2026-06-22, not yet versioned).

    log <vkey> [<url>]
    witness <name> <vkey> [<url>]
    group <name> all|any|<k> <name>...
    quorum <name>|none

Names are octets to the format: they are kept as text in which undecodable ones stand as surrogates.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from ledger.core.errors import Code, FormatError, LedgerError
from ledger.core.note import COSIGNATURE_V1, ED25519, VerifierKey, parse_vkey

NONE: Final = "none"
MAX_BYTES: Final = 256 * 1024
MAX_NAMES: Final = 1_000

_REFUSED: Final = re.compile(rb"[\x00-\x08\x0b-\x1f\x7f]")
_SPACE: Final = re.compile(r"[ \t]+")
_THRESHOLD: Final = re.compile(r"[1-9][0-9]{0,3}")
_LOG: Final = range(2, 4)  # words of a line
_WITNESS: Final = range(3, 5)
_GROUP_WORDS: Final = 4
_QUORUM_WORDS: Final = 2


class Known(NamedTuple):
    """A log or a witness: its key, and where it is reached where that is said."""

    key: VerifierKey
    url: str | None


class Group(NamedTuple):
    """Some of which at least `needed` must have cosigned."""

    needed: int
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy that parses.

    Attributes:
        logs: the logs, any of which may have signed; empty where they are known from elsewhere.
        witnesses: the witnesses by the policy's own names for them.
        groups: the groups by name, each after those that it names.
        quorum: the witness or group that must have cosigned; `none`: nobody must.
    """

    logs: tuple[Known, ...]
    witnesses: Mapping[str, Known]
    groups: Mapping[str, Group]
    quorum: str

    def witness_keys(self) -> tuple[VerifierKey, ...]:
        """The witnesses' keys."""
        return tuple(witness.key for witness in self.witnesses.values())

    def met_by(self, cosigners: Collection[VerifierKey]) -> tuple[str, ...]:
        """The names of the witnesses and groups that these cosignatures fulfil."""
        met = [name for name, witness in self.witnesses.items() if witness.key in cosigners]
        for name, group in self.groups.items():
            if sum(member in met for member in group.members) >= group.needed:
                met.append(name)
        return tuple(met)

    def is_met(self, cosigners: Collection[VerifierKey]) -> bool:
        """Whether the quorum has cosigned."""
        return self.quorum == NONE or self.quorum in self.met_by(cosigners)


def parse_policy(data: bytes) -> Policy:
    """Read a policy file.

    Raises:
        FormatError: `invalid-parameter`: which line is no good, and why.
    """
    if len(data) > MAX_BYTES:
        raise _bad(f"it is longer than {MAX_BYTES} bytes")
    if found := _REFUSED.search(data):
        raise _bad(f"it has the control character {found.group()!r} at {found.start()}")
    reading = _Reading()
    for number, line in enumerate(data.decode("utf-8", "surrogateescape").split("\n"), 1):
        words = [word for word in _SPACE.split(line) if word]
        if not words or words[0].startswith("#"):
            continue
        try:
            reading.take(words)
        except ValueError as error:
            raise _bad(f"line {number}: {error}") from None
        except LedgerError as error:
            raise _bad(f"line {number}: {error.detail}") from None
    if reading.quorum is None:
        raise _bad("it has no quorum line; `quorum none` asks for no witness")
    return Policy(tuple(reading.logs), reading.witnesses, reading.groups, reading.quorum)


class _Reading:
    """What was read so far."""

    def __init__(self) -> None:
        self.logs: list[Known] = []
        self.witnesses: dict[str, Known] = {}
        self.groups: dict[str, Group] = {}
        self.quorum: str | None = None
        self._members: set[str] = set()
        self._keys: set[bytes] = set()

    def take(self, words: list[str]) -> None:
        """Take in a line.

        Raises:
            ValueError: it is no good.
            LedgerError: its key is none.
        """
        match words[0]:
            case "log" if len(words) in _LOG:
                self.logs.append(self._known(words[1:], ED25519, "a log's (algorithm 0x01)"))
            case "witness" if len(words) in _WITNESS:
                self._refuse_taken(words[1])
                self.witnesses[words[1]] = self._known(
                    words[2:], COSIGNATURE_V1, "a witness's (algorithm 0x04)"
                )
            case "group" if len(words) >= _GROUP_WORDS:
                self._group(words[1], words[2], words[3:])
            case "quorum" if len(words) == _QUORUM_WORDS:
                if self.quorum is not None:
                    raise ValueError("there is one quorum line, and this is a second")
                self.quorum = words[1] if words[1] == NONE else self._named(words[1])
            case word:
                raise ValueError(f"{word[:40]!a} with {len(words) - 1} words after it is no line of a policy")

    def _known(self, words: list[str], algorithm: int, whose: str) -> Known:
        key = parse_vkey(words[0])
        if key.algorithm != algorithm:
            raise ValueError(f"the key of {key.name} is not {whose}")
        if key.public in self._keys:  # also of a log as its own witness
            raise ValueError(f"the public key of {key.name} stands on an earlier line: each counts once")
        self._keys.add(key.public)
        return Known(key, words[1] if len(words) > 1 else None)

    def _group(self, name: str, threshold: str, members: list[str]) -> None:
        self._refuse_taken(name)
        for member in members:
            self._named(member)
            if member in self._members:
                raise ValueError(
                    f"{member!a} is a member already: each witness and group counts in one place"
                )
            self._members.add(member)
        needed = {"any": 1, "all": len(members)}.get(threshold)
        if needed is None and _THRESHOLD.fullmatch(threshold) and int(threshold) <= len(members):
            needed = int(threshold)
        if needed is None:
            raise ValueError(f"{threshold[:40]!a} is neither all, any nor a number from 1 to {len(members)}")
        self.groups[name] = Group(needed, tuple(members))

    def _named(self, name: str) -> str:
        if name not in self.witnesses and name not in self.groups:
            raise ValueError(f"no line before it defines {name[:40]!a}")
        return name

    def _refuse_taken(self, name: str) -> None:
        if name == NONE or name in self.witnesses or name in self.groups:
            raise ValueError(f"{name[:40]!a} is defined already")
        if len(self.witnesses) + len(self.groups) >= MAX_NAMES:
            raise ValueError(f"there are more than {MAX_NAMES} witnesses and groups")


def _bad(detail: str) -> FormatError:
    return FormatError(Code.INVALID_PARAMETER, f"no policy (c2sp.org/tlog-policy): {detail}")
