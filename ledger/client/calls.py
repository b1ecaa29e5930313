"""Calls to and from agents of another organisation, recorded on both sides, each side with the other's receipt (docs/federation.md).

    calls = Calls(ledger, "alice.example/log", [bobs_verifier_key])
    sent = calls.send("bob.example/log", message)         # recorded; headers.update(sent.told), and the call goes
    sent.answered(response.headers)                       # what came back is checked, and recorded

    received = calls.receive(request.headers, message)    # checked and recorded before it is obeyed
    response.headers.update(received.told)

Nothing here waits for the other side: what it does not show now, it can show later (`agent-ledger calls`).
"""

import logging
import os
import secrets
import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple

from ledger.client.headers import Headers, header
from ledger.client.http import LedgerClient, ProblemError, UnreachableError
from ledger.client.ledger import Ledger
from ledger.client.members import cleaned
from ledger.client.peers import ANEW_S, SOON_S, PeerLogs
from ledger.client.waiting import Placed
from ledger.core.checkpoint import parse_checkpoint
from ledger.core.crossing import (
    CONFIRMED,
    MAX_ORIGIN_CHARACTERS,
    RECEIVED,
    SENT,
    Doubt,
    EntryName,
    Expected,
    Said,
    Told,
    doubt,
    format_told,
    open_said,
    parse_told,
)
from ledger.core.entry import SALT_BYTES, commitment
from ledger.core.errors import Code, FormatError, LedgerError
from ledger.core.note import parse_note, parse_vkey
from ledger.core.receipt import parse_receipt

HEADER: Final = "agent-ledger-call"
MAX_PEERS: Final = 1_000
CALLS_KNOWN: Final = 10_000  # that came, to see the same again; what came before those, the log knows

logger = logging.getLogger(__name__)


class Verdict(NamedTuple):
    """What is to be held of what the other side showed.

    Attributes:
        receipt: `verified`: its log has an entry about this call that names this side; `none`: it showed no receipt; `refused`: it did, and it is
            not one of this call.
        problem: why it is refused: a `Doubt`, or the code of what does not hold.
        said: what its log says, where the receipt is verified.
    """

    receipt: Literal["verified", "none", "refused"]
    problem: str | None = None
    said: Said | None = None


@dataclass(frozen=True, slots=True)
class Sent:
    """A call that is recorded and may go.

    Attributes:
        told: what goes along, by name: headers, or what else takes text by name.
        call: its id.
    """

    told: Mapping[str, str]
    call: str
    _calls: "Calls"
    _expected: Expected
    _action_id: str | None

    def answered(self, told: Headers) -> Verdict:
        """Check what came back with the answer, and record it in the background. What is wrong with it is recorded, and raises nothing.

        Args:
            told: the answer's headers, or what else came by name.
        """
        came, problem = _taken(header(told, HEADER))
        verdict = problem or self._calls.judge(came, self._expected)
        if verdict.receipt != "none":
            kept = {"receipt": came.receipt.decode()} if came is not None and came.receipt else None
            ext = about(self.call, str(self._expected.log), self._expected.message, verdict)
            self._calls.ledger.record(record(CONFIRMED, ext, kept, self._action_id))
        return verdict


class Received(NamedTuple):
    """A call that came and is recorded.

    Attributes:
        told: what goes back with the answer.
        call: its id: the caller's, or one of our own where it told none.
        verdict: what is to be held of what came with it.
    """

    told: Mapping[str, str]
    call: str
    verdict: Verdict


class Calls:
    """Records calls between this organisation's log and its peers'. Made once beside a `Ledger`; safe to use from many threads."""

    def __init__(self, ledger: Ledger, log: str, peers: Iterable[str]) -> None:
        """Nothing is sent yet.

        Args:
            ledger: where this side records.
            log: the origin of its log: what others must name.
            peers: the verifier keys of the others' logs, as the handshake has them (`agent-ledger witness peers --keys`). Where one of them is
                rotated, the next is learnt from this ledger, which follows it, and proved by the one that is here.

        Raises:
            FormatError: a verifier key is none.
            ValueError: there are too many.
        """
        self.ledger, self.log = ledger, log
        keys = [parse_vkey(text) for text in peers]
        if len(keys) > MAX_PEERS:
            raise ValueError(f"{len(keys)} peers are more than {MAX_PEERS}")
        self.peers = frozenset(key.name for key in keys)
        self._logs = PeerLogs(keys, self._connected)
        self._lock = threading.Lock()
        self._came: OrderedDict[str, None] = OrderedDict()
        self._client: tuple[int, LedgerClient] | None = None

    def send(self, peer: str, message: bytes, *, action_id: str | None = None) -> Sent:
        """Record that a peer is about to be called. Returns when that is durable; with a spool, the receipt may come later.

        Args:
            peer: the origin of the peer's log.
            message: what both sides see of the call, byte for byte; the log gets a commitment to it.
            action_id: the action here that it is.

        Raises:
            ValueError: that is no peer.
            LedgerAway, LedgerError, ProblemError: it is not recorded: the call must not go.
        """
        if peer not in self.peers:
            raise ValueError(f"{peer} is no peer: its owner and you have not agreed (docs/federation.md)")
        call, salt = secrets.token_hex(16), os.urandom(SALT_BYTES)
        committed = commitment(salt, message).hex()
        ext = {"call.id": call, "call.peer": peer, "call.message": committed}
        placed = self._write(record(SENT, ext, {"salt": salt.hex()}, action_id))
        own = EntryName(placed.seq, placed.leaf) if placed is not None else None
        told = {HEADER: format_told(Told(call, self.log, salt, self._receipt(placed)))}
        return Sent(told, call, self, Expected(RECEIVED, call, self.log, peer, committed, own), action_id)

    def receive(
        self, told: Headers, message: bytes, *, caller: str | None = None, action_id: str | None = None
    ) -> Received:
        """Check what came with a call, and record it with the call. Returns when that is durable. Whatever came, it raises nothing for it.

        Args:
            told: the request's headers, or what else came by name.
            message: what both sides see of the call, byte for byte.
            caller: the origin of the caller's log, where the transport says who calls.
            action_id: the action here that it is.

        Raises:
            LedgerAway, LedgerError, ProblemError: it is not recorded: the call must not be obeyed.
        """
        came, problem = _taken(header(told, HEADER))
        salt = came.salt if came is not None else None
        committed = commitment(salt, message).hex() if salt is not None else None
        call = came.call if came is not None else secrets.token_hex(16)
        expected = Expected(
            SENT, call, self.log, caller or (came.log if came is not None else None), committed
        )
        verdict = problem or self.judge(came, expected)
        if verdict.receipt == "verified" and self._came_before(
            call
        ):  # others could only use up an id that they know
            verdict = Verdict("refused", Doubt.REPLAYED)
        kept = {"salt": salt.hex()} if salt is not None else {}
        if came is not None and came.receipt:
            kept["receipt"] = came.receipt.decode()
        ext = about(call, expected.log, committed, verdict)
        placed = self._write(record(RECEIVED, ext, kept or None, action_id))
        back = Told(call, self.log, receipt=self._receipt(placed))
        return Received({HEADER: format_told(back)}, call, verdict)

    def judge(self, came: Told | None, expected: Expected) -> Verdict:
        """What is to be held of what came."""
        if came is None or came.receipt is None:
            return Verdict("none")
        try:
            said = self._said(came.receipt)
        except LedgerError as error:
            return Verdict("refused", error.code)
        wrong = doubt(said, expected)
        return Verdict("refused", wrong) if wrong else Verdict("verified", None, said)

    def _said(self, receipt: bytes) -> Said:
        """What a peer's log says; a key that it has rotated to, or a revocation, is learnt first."""
        self._logs.ask(ANEW_S)
        try:
            return open_said(receipt, self._logs.keys())
        except LedgerError as error:
            if error.code is not Code.UNKNOWN_SIGNER or not self._logs.ask(SOON_S):
                raise
            return open_said(receipt, self._logs.keys())

    def close(self) -> None:
        """Close its connection."""
        if self._client is not None:
            self._client[1].close()
            self._client = None

    def _came_before(self, call: str) -> bool:
        with self._lock:
            if call in self._came:
                return True
            self._came[call] = None
            if len(self._came) > CALLS_KNOWN:
                self._came.popitem(last=False)
            return False

    def _write(self, made: Mapping[str, Any]) -> Placed | None:
        return self.ledger.wait(self.ledger.begin(cleaned(made)))

    def _receipt(self, placed: Placed | None) -> bytes | None:
        """The receipt of an entry of ours, with the entry; None where it cannot be had now: nobody waits for it."""
        if placed is None:
            return None
        try:
            receipt = self._connected().receipt(placed.seq, entry=True)
            origin = parse_checkpoint(parse_note(parse_receipt(receipt).checkpoint_note).text).origin
        except (UnreachableError, ProblemError, LedgerError) as error:
            logger.warning("the receipt of entry %d goes to the other side later: %s", placed.seq, error)
            return None
        if origin != self.log:
            raise ValueError(f"the ledger's log is {origin}, and you say that it is {self.log}")
        return receipt

    def _connected(self) -> LedgerClient:
        with self._lock:
            if self._client is None or self._client[0] != os.getpid():  # a fork's connection is its parent's
                self._client = os.getpid(), self.ledger.connect()
            return self._client[1]


def record(kind: str, ext: Mapping[str, Any], kept: Any, action_id: str | None) -> dict[str, Any]:
    """A record of a call: what is told of it, and what is kept as a content."""
    made: dict[str, Any] = {"type": kind, "action_id": action_id, "ext": ext}
    if kept is not None:
        made["source"] = {"original": kept}
    return made


def about(call: str, peer: str | None, message: str | None, verdict: Verdict) -> dict[str, Any]:
    """`ext` of what is recorded about the other side: what it claims, and what of that is verified."""
    said = verdict.said
    ext = {
        "call.id": call,
        "call.peer": peer[:MAX_ORIGIN_CHARACTERS] if peer else None,
        "call.message": message,
        "call.receipt": verdict.receipt,
        "call.problem": str(verdict.problem) if verdict.problem else None,
        "call.entry_seq": said.entry.seq if said else None,
        "call.entry_leaf": said.entry.leaf if said else None,
        "call.entry_type": said.type if said else None,
    }
    return {name: value for name, value in ext.items() if value is not None}


def _taken(text: str) -> tuple[Told | None, Verdict | None]:
    """What came, taken apart; None where nothing did, or nothing of ours: then also what is to be held of it."""
    try:
        return (parse_told(text) if text else None), None
    except FormatError:
        return None, Verdict("refused", Doubt.MALFORMED)
