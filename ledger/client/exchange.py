"""One exchange with the ledger: a group of records goes, what became of each comes back."""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from ledger.client.http import PROBLEM_PREFIX, LedgerClient, ProblemError, UnreachableError

NDJSON: Final = "application/x-ndjson"
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


class Refused(NamedTuple):
    """A record that the ledger will never take, and why."""

    problem: ProblemError


class Exchange:
    """A connection to the ledger."""

    def __init__(self, client: LedgerClient) -> None:
        """Speak through this client, which is closed with it."""
        self._client = client

    def post(self, lines: Sequence[bytes]) -> list[Refused | None]:
        """Send records. Returns for each whether it was refused; fewer than were sent where the rest is to be sent again.

        Raises:
            AwayError: as its name says.
            ForkError: the log contradicts what was seen of it.
        """
        try:
            answer = self._client.post_records(b"\n".join(lines), NDJSON)
        except UnreachableError as error:
            raise AwayError(str(error)) from None
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
        return _results(answer, len(lines))

    def close(self) -> None:
        """Close the connection."""
        self._client.close()


def _results(answer: dict[str, Any], sent: int) -> list[Refused | None]:
    results = answer.get("results")
    if not isinstance(results, list) or len(results) != sent:
        raise AwayError("what answered is no ledger: it does not say what became of each record")
    found: list[Refused | None] = []
    for result in results:
        if not isinstance(result, dict) or not isinstance(status := result.get("status", 0), int):
            raise AwayError("what answered is no ledger: it does not say what became of each record")
        if status == TOO_MANY or status >= SERVER_ERROR:
            if not found:
                raise AwayError(str(result.get("detail")), 1.0)
            return found
        found.append(Refused(_problem(result, status)) if status else None)
    return found


def _problem(result: dict[str, Any], status: int) -> ProblemError:
    code = str(result.get("type", "")).removeprefix(PROBLEM_PREFIX)
    return ProblemError(status, code, str(result.get("detail") or code), result)
