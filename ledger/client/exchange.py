"""One exchange with the ledger: a group of records goes, what became of each comes back."""

import time
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ledger.client.http import PROBLEM_PREFIX, LedgerClient, ProblemError, UnreachableError
from ledger.client.waiting import Placed
from ledger.client.witness import Witness
from ledger.core.errors import LedgerError

if TYPE_CHECKING:
    import ssl

NDJSON: Final = "application/x-ndjson"
LOOK_EVERY_S: Final = 1.0
IDLE_S: Final = 4.0  # servers close connections that were idle for five seconds or so
ANSWER_BYTES: Final = 16 * 1024 * 1024  # of the largest group, each record refused at length
SERVER_ERROR: Final = 500
TOO_MANY: Final = 429
# The ledger, or what stands before it, will not have us now, whatever we send.
NOT_NOW: Final = frozenset({401, 403, 404, 405, 408, TOO_MANY})
HOPELESS: Final = frozenset({401, 403, 404, 405})  # no use in waiting a few seconds


class AwayError(Exception):
    """Nothing was taken, or nobody knows what: to be sent again.

    Attributes:
        retry_after_s: when, where the ledger said so.
        hopeless: whether the next seconds will not change it.
    """

    def __init__(self, detail: str, retry_after_s: float | None = None, *, hopeless: bool = False) -> None:
        super().__init__(detail)
        self.retry_after_s = retry_after_s
        self.hopeless = hopeless


class _NewConnectionError(Exception):
    """A record was about to go to a server that has not shown yet that it is the one from before."""


class Refused(NamedTuple):
    """A record that the ledger will never take, and why."""

    problem: ProblemError


class Exchange:
    """A connection to the ledger, and what was seen of its log: at every new connection the log shows that it is the same."""

    def __init__(
        self,
        url: str,
        token: str | None,
        timeout_s: float,
        witness: Witness,
        tls: "ssl.SSLContext | None" = None,
    ) -> None:
        """A connection to the ledger at `url`; nothing is sent yet. `tls`: see `LedgerClient`.

        Raises:
            ValueError: the url is none, or a file for TLS is no good.
        """
        self._client = LedgerClient(
            url,
            token,
            timeout_s=timeout_s,
            max_answer_bytes=ANSWER_BYTES,
            connected=self._connected,
            tls=tls,
        )
        self._witness = witness
        self._doubtful = True  # it may not be the log that it was
        self._behind = False  # it has grown since it was seen
        self._careful = False  # no record goes over a connection that is new
        self._checked_at = self._used_at = 0.0

    def post(self, lines: Sequence[bytes]) -> list[Refused | Placed]:
        """Send records. Returns for each where it was written, or that it was refused; fewer than were sent where the rest is to be sent again.

        Raises:
            AwayError: as its name says.
            ForkError: the log contradicts what was seen of it.
        """
        try:
            return self._post(lines)
        except UnreachableError as error:
            self._doubtful = True
            raise AwayError(str(error)) from None
        except (
            LedgerError
        ) as error:  # what this user remembers of the log was spoilt: whoever did that is not obeyed
            raise AwayError(
                f"what was seen of the log before cannot be read: {error.detail}", hopeless=True
            ) from None
        except ProblemError as problem:
            if problem.status in NOT_NOW or problem.status >= SERVER_ERROR:
                hopeless = problem.status in HOPELESS
                raise AwayError(
                    f"{problem.detail} [{problem.code}]", problem.retry_after_s, hopeless=hopeless
                ) from None
            if len(lines) == 1:
                return [Refused(problem)]
            # Something between here and the ledger does not take as much at once, or one record spoils the body.
            half = len(lines) // 2
            return self.post(lines[:half])

    def _post(self, lines: Sequence[bytes]) -> list[Refused | Placed]:
        body = b"\n".join(lines)
        if self._doubtful or self.look_in_s() == 0 or time.monotonic() - self._used_at > IDLE_S:
            self._check()
        try:
            self._careful = True
            answer = self._client.post_records(body, NDJSON)
        except _NewConnectionError:
            self._careful = False
            self._check()
            answer = self._client.post_records(body, NDJSON)
        finally:
            self._careful = False
            self._used_at = time.monotonic()
        self._witness.told(answer["size"])
        self._behind = True
        if self._doubtful:  # one connection for each request, as some proxies have it
            self._check()
        return _results(answer, len(lines))

    def _connected(self) -> None:
        self._doubtful = True
        if self._careful:
            raise _NewConnectionError

    def _check(self) -> None:
        self._witness.check(self._client)
        self._doubtful = self._behind = False
        self._used_at = self._checked_at = time.monotonic()

    def look_in_s(self) -> float | None:
        """When to see the newest checkpoint, in seconds: None where nothing was sent since the last."""
        return max(self._checked_at + LOOK_EVERY_S - time.monotonic(), 0.0) if self._behind else None

    def look(self) -> None:
        """See the log's newest checkpoint, for the next time: best effort.

        Raises:
            ForkError: it contradicts what was seen before.
        """
        self._behind = False
        with suppress(UnreachableError, ProblemError):
            self._check()

    def close(self) -> None:
        """Close the connection."""
        self._client.close()


def _results(answer: dict[str, Any], sent: int) -> list[Refused | Placed]:
    results = answer.get("results")
    if not isinstance(results, list) or len(results) != sent:
        raise AwayError("what answered is no ledger: it does not say what became of each record")
    found: list[Refused | Placed] = []
    for result in results:
        if not isinstance(result, dict) or not isinstance(status := result.get("status", 0), int):
            raise AwayError("what answered is no ledger: it does not say what became of each record")
        if status == TOO_MANY or status >= SERVER_ERROR:
            if not found:
                raise AwayError(str(result.get("detail")), 1.0)
            return found
        seq, leaf = result.get("seq"), result.get("leaf_hash")
        if not status and not (type(seq) is int and isinstance(leaf, str)):
            raise AwayError("what answered is no ledger: it does not say where it wrote a record")
        found.append(Refused(_problem(result, status)) if status else Placed(int(str(seq)), str(leaf)))
    return found


def _problem(result: dict[str, Any], status: int) -> ProblemError:
    code = str(result.get("type", "")).removeprefix(PROBLEM_PREFIX)
    return ProblemError(status, code, str(result.get("detail") or code), result)
