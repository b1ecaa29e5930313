"""A small HTTP client of the ledger: one method per question, errors as exceptions with the problem's own words."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, Self
from urllib.parse import quote

import httpx

JSON = "application/json"
PROBLEM_PREFIX = "urn:agent-ledger:problem:"
TIMEOUT_S = 60.0
CONNECT_TIMEOUT_S = 5.0
MAX_PROBLEM_CHARS = 2_000


class UnreachableError(Exception):
    """No ledger answers at the address, or it stopped answering."""


class ProblemError(Exception):
    """The ledger refused (RFC 9457 problem details).

    Attributes:
        status: the HTTP status.
        code: the stable code, for example `unknown-member`; empty when what answered is no ledger.
        detail: a sentence for people.
        members: the problem's further members.
        retry_after_s: when to try again, where the ledger said so.
    """

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        members: Mapping[str, Any],
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.members = members
        self.retry_after_s = retry_after_s


class Question(NamedTuple):
    """What to ask: one SELECT, or a named query.

    Attributes:
        sql: the SELECT; without meaning where there is a name.
        name: the named query, or None.
        parameters: their values by name.
        limit: how many rows at most; the server's own limit when None.
    """

    sql: str
    name: str | None
    parameters: Mapping[str, Any]
    limit: int | None = None


class LedgerClient:
    """A connection to one ledger. Use it as a context manager.

    Every method raises `UnreachableError` and `ProblemError`.
    """

    def __init__(self, url: str, token: str | None = None, *, timeout_s: float = TIMEOUT_S) -> None:
        """A client of the ledger at `url`; nothing is sent yet.

        Raises:
            ValueError: the url is not one.
        """
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        try:
            base = httpx.URL(url)
        except httpx.InvalidURL as error:
            raise ValueError(f"{url!r} is no URL: {error}") from None
        if base.scheme not in {"http", "https"} or not base.host:
            raise ValueError(f"{url!r} is no URL of a ledger: it begins with http:// or https:// and a host")
        self.url = url.rstrip("/")
        timeout = httpx.Timeout(timeout_s, connect=CONNECT_TIMEOUT_S)
        # No redirects: a token goes nowhere but where it was meant to.
        self._http = httpx.Client(
            base_url=self.url, headers=headers, timeout=timeout, follow_redirects=False, trust_env=False
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    # ---- writing

    def post_records(
        self, body: bytes, media_type: str, *, encoding: str | None = None, atomic: bool = False
    ) -> dict[str, Any]:
        """Submit records; returns when they are durable and signed.

        Args:
            body: one JSON object, an array, or NDJSON.
            media_type: `application/json` or `application/x-ndjson`.
            encoding: `gzip` or `zstd` when the body is compressed.
            atomic: whether one refusal refuses them all.

        Returns:
            What became of one record, or of each under `results`; a record that was refused has its problem there.
        """
        headers = {"Content-Type": media_type}
        if encoding:
            headers["Content-Encoding"] = encoding
        if atomic:
            headers["Prefer"] = "handling=strict"
        return self._object("POST", "/v1/records", content=body, headers=headers)

    # ---- reading

    def log(self) -> dict[str, Any]:
        """Origin, verifier key, size, root, where it is anchored."""
        return self._object("GET", "/v1/log")

    def record(self, record_id: str) -> dict[str, Any]:
        """A record by its id."""
        return self._object("GET", f"/v1/records/{quote(record_id, safe='')}")

    def entry(self, seq: int) -> dict[str, Any]:
        """A record by its place in the log."""
        return self._object("GET", f"/v1/entries/{seq}")

    def receipt(self, seq: int) -> bytes:
        """The receipt of an entry (tlog-proof text)."""
        return self._bytes(f"/v1/entries/{seq}/receipt")

    def file(self, path: str) -> bytes:
        """`checkpoint`, or a tile by its path."""
        return self._bytes(f"/{path}")

    # ---- asking

    def queries(self) -> list[dict[str, Any]]:
        """The named queries with their parameters and columns."""
        return list(self._object("GET", "/v1/queries")["queries"])

    def query(self, question: Question, *, accept: str = JSON) -> bytes:
        """Ask, and get the answer in the media type that was asked for."""
        body: dict[str, Any] = {"parameters": dict(question.parameters)}
        if question.limit is not None:
            body["limit"] = question.limit
        if question.name is None:
            body["sql"] = question.sql
            path = "/v1/query"
        else:
            path = f"/v1/queries/{quote(question.name, safe='')}"
        return self._send("POST", path, json=body, headers={"Accept": accept}).content

    # ---- checking

    def consistency(self, old: int, new: int) -> list[str]:
        """The hashes, in base64, which prove that the log of size `new` extends the one of size `old`."""
        return list(self._object("GET", f"/v1/proofs/consistency?old={old}&new={new}")["hashes"])

    def start_verification(self, checkpoint: str | None = None, receipts: Sequence[str] = ()) -> str:
        """Have the server verify what it stores, against what is kept outside it. Returns the job's path."""
        body: dict[str, Any] = {"receipts": list(receipts)} if receipts else {}
        if checkpoint is not None:
            body["checkpoint"] = checkpoint
        response = self._send("POST", "/v1/verify", json=body)
        location = response.headers.get("Location", "")
        if not location.startswith("/v1/verify/"):
            raise self._stranger(response)
        return str(location)

    def verification(self, job: str) -> dict[str, Any]:
        """How far a verification is, and when it is finished its report."""
        return self._object("GET", job)

    # ---- one exchange

    def _object(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        response = self._send(method, path, **options)
        try:
            return dict(response.json())
        except (ValueError, TypeError):
            raise self._stranger(response) from None

    def _bytes(self, path: str) -> bytes:
        return self._send("GET", path).content

    def _send(self, method: str, path: str, **options: Any) -> httpx.Response:
        with self._reaching():
            response = self._http.request(method, path, **options)
        if response.is_success:
            return response
        raise self._problem(response)

    @contextmanager
    def _reaching(self) -> Iterator[None]:
        try:
            yield
        except httpx.ConnectError:
            raise UnreachableError(
                f"no ledger answers at {self.url}; start one with `agent-ledger serve`, or name another with --url"
            ) from None
        except httpx.TimeoutException:
            raise UnreachableError(f"the ledger at {self.url} did not answer in time") from None
        except httpx.HTTPError as error:
            raise UnreachableError(f"the ledger at {self.url} broke off: {error}") from None

    def _problem(self, response: httpx.Response) -> ProblemError | UnreachableError:
        try:
            problem = response.json()
            code = str(problem["type"]).removeprefix(PROBLEM_PREFIX)
            detail = str(problem.get("detail") or problem["title"])[:MAX_PROBLEM_CHARS]
        except (ValueError, KeyError, TypeError):
            return self._stranger(response)
        members = {name: value for name, value in problem.items() if name not in {"type", "title", "detail"}}
        return ProblemError(response.status_code, code, detail, members, _retry_after_s(response))

    def _stranger(self, response: httpx.Response) -> UnreachableError:
        return UnreachableError(
            f"what answers at {self.url} is no ledger: status {response.status_code} "
            f"for {response.request.method} {response.request.url.path}"
        )


def _retry_after_s(response: httpx.Response) -> float | None:
    seconds = response.headers.get("Retry-After", "")
    return float(seconds) if seconds.isdecimal() else None
