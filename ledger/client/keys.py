"""The keys of a log that somebody knows one key of: a rotation is followed by its proof, and no key is believed for its own sake."""

from typing import Final

from ledger.client.http import LedgerClient, ProblemError, UnreachableError
from ledger.core.errors import LedgerError, VerificationError
from ledger.core.keyhistory import KeyHistory, parse_history
from ledger.core.note import VerifierKey, parse_vkey

NOT_FOUND: Final = 404


def follow_keys(client: LedgerClient, known: VerifierKey) -> KeyHistory:
    """The keys that a running ledger proves its log to have had.

    Args:
        client: of the ledger.
        known: any of them, from somewhere else.

    Raises:
        UnreachableError, ProblemError: the ledger does not answer, or what it says is no proof.
        VerificationError: the proof does not hold, or not for the log of this key.
    """
    proof = key_proof(client)
    if proof is None:
        return KeyHistory.begin(known)
    try:
        return parse_history(proof, known)
    except VerificationError:
        raise
    except LedgerError as error:
        raise UnreachableError(f"what answers at {client.url} is no ledger: {error.detail}") from None


def own_keys(client: LedgerClient) -> KeyHistory:
    """The keys of a log that nobody here knows a key of: the ledger's own word.

    Raises:
        UnreachableError, ProblemError: the ledger does not answer, or what it says is no key.
        VerificationError: the proof of its other keys does not hold.
    """
    try:
        first = parse_vkey(str(client.log()["verifier_key"]))
    except LedgerError as error:
        raise UnreachableError(f"what answers at {client.url} is no ledger: {error.detail}") from None
    return follow_keys(client, first)


def key_proof(client: LedgerClient) -> bytes | None:
    """The proof of a log's keys (`ledger.core.keyhistory`); None of a ledger that cannot rotate its key yet.

    Raises:
        UnreachableError, ProblemError: the ledger does not answer, or refuses.
    """
    try:
        return client.key_proof()
    except ProblemError as problem:
        if problem.status == NOT_FOUND:
            return None
        raise
