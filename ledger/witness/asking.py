"""One question to one witness: its cosignature of a checkpoint, or why there is none.

A witness may be hostile, or no witness at all. It is reached as `ledger.alerts.outbound` reaches everything; of what it answers nothing is kept
but a line that verifies under the key that the policy pins, and that states a time that can be.
"""

import time
from collections.abc import Callable
from typing import Final, NamedTuple

from ledger.alerts.outbound import Answer, DeliveryError, Endpoint, Rules, exchange
from ledger.core.errors import LedgerError
from ledger.core.note import VerifierKey, parse_signature_line, verify_line
from ledger.core.witnessing import (
    KEYS_PATH,
    PATH,
    SIZE_TYPE,
    AddCheckpoint,
    format_add_checkpoint,
    origin_hash,
    parse_size,
)

SKEW_S: Final = 300  # between a witness's clock and this one
_OK, _FORBIDDEN, _CONFLICT, _INCONSISTENT, _BROKEN = 200, 403, 409, 422, 500
_HEADERS: Final = {"Content-Type": "text/plain; charset=utf-8", "User-Agent": "agent-ledger"}

Proof = Callable[[int, int], list[bytes]]


class Asked(NamedTuple):
    """A witness that is asked.

    Attributes:
        name: what the policy calls it.
        key: its key, pinned there.
        endpoint: its submission prefix.
        rules: how it may be reached.
    """

    name: str
    key: VerifierKey
    endpoint: Endpoint
    rules: Rules


class Cosignature(NamedTuple):
    """A signature line that holds, with its newline, and the time it states in seconds since 1970."""

    line: str
    seconds: int


class WitnessError(Exception):
    """There is no cosignature this time. Its words name no address and quote nothing but a status."""


class SawError(WitnessError):
    """The witness saw another size of the log.

    Attributes:
        size: which.
    """

    def __init__(self, size: int) -> None:
        super().__init__(f"it has cosigned the log at size {size}")
        self.size = size


class SignerError(WitnessError):
    """The witness knows no key that has signed the checkpoint."""


class KeysRefusedError(WitnessError):
    """The witness follows other keys of this log than it proves to have."""


class ContradictedError(WitnessError):
    """What the witness saw is not the beginning of this log."""


def ask(witness: Asked, text: str, request: AddCheckpoint) -> Cosignature:
    """Submit a checkpoint.

    Args:
        witness: whom.
        text: the checkpoint's text, which the cosignature must be over.
        request: the signed checkpoint, with the proof from what the witness saw.

    Raises:
        SawError: it saw another size: 409.
        ContradictedError: the proof does not hold for what it saw: 422.
        SignerError: it does not take the log's signature: 403.
        WitnessError: anything else.
    """
    path = witness.endpoint.path.rstrip("/") + PATH
    answer = _exchange("POST", witness, path, format_add_checkpoint(request))
    if answer.status == _CONFLICT and _media_type(answer) == SIZE_TYPE:
        try:
            size = parse_size(answer.body)
        except LedgerError:
            raise WitnessError("it answered 409 with no size") from None
        raise SawError(size)
    if answer.status == _INCONSISTENT:
        raise ContradictedError(
            f"it refused the proof that the log extends what it saw at size {request.old} (422)"
        )
    if answer.status == _FORBIDDEN:
        raise SignerError(
            "it answered 403: it does not know the key that signs, and its owner may have to be told"
        )
    if answer.status != _OK:
        raise WitnessError(f"it answered {answer.status}")
    return _verified(witness.key, text, answer.body)


def hand_keys(witness: Asked, proof: bytes) -> bool:
    """Hand a witness what the log proves of its keys. Returns whether it has them, or takes none, as witnesses of other makes; else it is asked later.

    Raises:
        KeysRefusedError: it follows other keys of this log: 409.
        WitnessError: it was not reached.
    """
    path = witness.endpoint.path.rstrip("/") + KEYS_PATH
    answer = _exchange("POST", witness, path, proof)
    if answer.status == _CONFLICT:
        raise KeysRefusedError(
            "it refuses the proof of this log's keys (409): it follows others, or more of them"
        )
    return answer.status < _BROKEN


def newest(witness: Asked, origin: str) -> bytes | None:
    """The newest checkpoint of a log that a witness cosigned, unverified; None where it does not show one."""
    path = f"{witness.endpoint.path.rstrip('/')}/{origin_hash(origin)}/checkpoint"
    try:
        answer = _exchange("GET", witness, path, None)
    except WitnessError:
        return None
    return answer.body if answer.status == _OK else None


def _exchange(method: str, witness: Asked, path: str, body: bytes | None) -> Answer:
    try:
        return exchange(method, witness.endpoint._replace(path=path), body, _HEADERS, witness.rules)
    except DeliveryError as error:
        raise WitnessError(str(error)) from None


def _media_type(answer: Answer) -> str:
    return answer.media_type.partition(";")[0].strip().lower()


def _verified(key: VerifierKey, text: str, body: bytes) -> Cosignature:
    """The first line of the pinned key. Lines of others are nobody's word; one of it that does not hold spoils the answer."""
    for line in body.decode("utf-8", "replace").split("\n"):
        try:
            signature = parse_signature_line(line)
        except LedgerError:
            continue
        if (signature.name, signature.key_id) != (key.name, key.key_id):
            continue
        try:
            seconds = verify_line(text, signature, key)
        except LedgerError as error:
            raise WitnessError(f"its cosignature does not hold: {error.code}") from None
        now = time.time()
        if seconds is None or abs(now - seconds) > SKEW_S:
            raise WitnessError(
                f"its cosignature states a time that is {abs(now - (seconds or 0)):.0f} s from this clock"
            )
        return Cosignature(f"{line}\n", seconds)
    raise WitnessError("it answered without a cosignature by its key")
