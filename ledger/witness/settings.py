"""Which witnesses a log asks, and what it does without them: from the server's own configuration alone."""

import ssl
from pathlib import Path
from typing import Final, NamedTuple

from ledger.alerts.outbound import Rules, parse_endpoint
from ledger.core.errors import Code, LedgerError
from ledger.core.keyhistory import KeyHistory
from ledger.core.policy import Policy, parse_policy
from ledger.witness.asking import Asked

TIMEOUT_S: Final = 5.0
EVERY_S: Final = 2.0
WAIT_S: Final = 10.0


class Settings(NamedTuple):
    """How witnesses are asked.

    Attributes:
        policy: who counts, and the quorum.
        asked: the policy's witnesses that have a URL.
        required: no record is acknowledged before the quorum has cosigned a checkpoint that covers it.
        wait_s: how long an answer waits for that.
        every_s: how often the newest checkpoint is submitted while nobody waits for it.
    """

    policy: Policy
    asked: tuple[Asked, ...]
    required: bool = False
    wait_s: float = WAIT_S
    every_s: float = EVERY_S


def read_settings(
    path: Path, *, allow_private: bool = False, required: bool = False, wait_s: float = WAIT_S
) -> Settings:
    """Read a policy file.

    Args:
        path: the file (c2sp.org/tlog-policy).
        allow_private: witnesses may be at private addresses, and without TLS.
        required: of `Settings`.
        wait_s: of `Settings`.

    Raises:
        LedgerError: `invalid-parameter`: which line, and why.
        OSError: it cannot be read.
    """
    try:
        policy = parse_policy(path.read_bytes())
    except LedgerError as error:
        raise LedgerError(error.code, f"{path}: {error.detail}") from None
    rules = Rules(allow_private, ssl.create_default_context(), TIMEOUT_S)
    asked = []
    for name, (key, url) in policy.witnesses.items():
        if url is None:
            continue
        try:
            endpoint = parse_endpoint(url, allow_private=allow_private)
        except ValueError as error:
            raise _bad(f"{path}: the URL of the witness {name!a}: {_in_words(str(error))}") from None
        if "?" in endpoint.path:
            raise _bad(f"{path}: the URL of the witness {name!a} has a query: it is a prefix")
        asked.append(Asked(name, key, endpoint, rules))
    if not policy.is_met([each.key for each in asked]):
        raise _bad(
            f"{path}: the quorum {policy.quorum} cannot be met: too few of its witnesses have a URL to ask them at"
        )
    return Settings(policy, tuple(asked), required, wait_s)


def check_own(settings: Settings, own: KeyHistory) -> None:
    """See that a policy is meant for the log that uses it, and that the log does not vouch for itself.

    Raises:
        LedgerError: `invalid-parameter`.
    """
    if settings.policy.logs and not {log.key for log in settings.policy.logs} & {*own.keys}:
        raise _bad(
            f"the policy names logs, and {own.origin} with the key {own.current} is none of them: it is another log's policy"
        )
    if {key.public for key in own.keys} & {key.public for key in settings.policy.witness_keys()}:
        raise _bad("a witness of the policy has the log's own key: nobody is a witness to himself")


def _in_words(reason: str) -> str:
    return reason.replace("allow_private = true", "--witness-private")


def _bad(detail: str) -> LedgerError:
    return LedgerError(Code.INVALID_PARAMETER, detail)
