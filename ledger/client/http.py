"""A small HTTP client of the ledger: one method per question, errors as exceptions with the problem's own words."""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple, Self
from urllib.parse import quote

from ledger.core.text import parse_base64

# httpx takes longer to import than all of the SDK: it is imported by whoever makes a connection.
if TYPE_CHECKING:
    import httpx

JSON = "application/json"
PROTOBUF = "application/x-protobuf"
PROBLEM_PREFIX = "urn:agent-ledger:problem:"
TIMEOUT_S = 60.0
CONNECT_TIMEOUT_S = 5.0
API_PATH = re.compile(r"/v1(/|$)")
CONNECTED = "connection.connect_tcp.complete"
MAX_PROBLEM_CHARS = 2_000
MAX_ANSWER_BYTES = 512 * 1024 * 1024
MAX_RETRY_AFTER_S = 60.0
TABLE = {"columns": list, "rows": list, "row_count": int, "truncated": bool, "size": int, "root": str}
STORED = {"seq": int, "leaf_hash": str, "recorded_at": str, "entry": dict, "contents": list, "persons": list}


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

    def __init__(
        self,
        url: str,
        token: str | None = None,
        *,
        timeout_s: float = TIMEOUT_S,
        max_answer_bytes: int = MAX_ANSWER_BYTES,
        connected: Callable[[], None] | None = None,
    ) -> None:
        """A client of the ledger at `url`; nothing is sent yet. `connected` is called at every new connection.

        Raises:
            ValueError: the url is not one.
        """
        import httpx  # noqa: PLC0415 - see above

        headers = {"Authorization": f"Bearer {token}"} if token else {}
        try:
            base = httpx.URL(url)
        except httpx.InvalidURL as error:
            raise ValueError(f"{url!r} is no URL: {error}") from None
        if base.scheme not in {"http", "https"} or not base.host:
            raise ValueError(f"{url!r} is no URL of a ledger: it begins with http:// or https:// and a host")
        if API_PATH.search(base.path):
            raise ValueError(f"{url!r} is a route of a ledger: give its address, what stands before /v1")
        self.url = url.rstrip("/")
        self._max_answer_bytes = max_answer_bytes
        self._extensions = {"trace": _teller(connected)} if connected is not None else None
        timeout = httpx.Timeout(timeout_s, connect=CONNECT_TIMEOUT_S)
        # No redirects and no proxy: a token goes nowhere but where it was meant to. SSL_CERT_FILE names one's own authority.
        self._http = httpx.Client(
            base_url=self.url,
            headers=headers,
            timeout=timeout,
            verify=httpx.create_ssl_context(),
            follow_redirects=False,
            trust_env=False,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    # ---- writing

    def post_records(self, body: bytes, media_type: str, *, atomic: bool = False) -> dict[str, Any]:
        """Submit records; returns when they are durable and signed.

        Args:
            body: one JSON object, an array, or NDJSON.
            media_type: `application/json` or `application/x-ndjson`.
            atomic: whether one refusal refuses them all.

        Returns:
            What became of one record, or of each under `results`; a record that was refused has its problem there.
        """
        headers = {"Content-Type": media_type}
        if atomic:
            headers["Prefer"] = "handling=strict"
        return self._object("POST", "/v1/records", {"size": int}, content=body, headers=headers)

    def post_events(self, path: str, body: bytes, media_type: str) -> dict[str, Any]:
        """Submit what is in another format, at its dialect's path (docs/dialects.md). Returns how much of it was taken."""
        headers = {"Content-Type": media_type}
        return self._object("POST", path, {"size": int}, content=body, headers=headers)

    def post_spans(self, body: bytes) -> bytes:
        """Submit spans as OTLP (ExportTraceServiceRequest). Returns the ExportTraceServiceResponse."""
        return self._send("POST", "/v1/traces", content=body, headers={"Content-Type": PROTOBUF}).body

    # ---- reading

    def log(self) -> dict[str, Any]:
        """Origin, verifier key, size, root, where it is anchored."""
        return self._object("GET", "/v1/log", {"origin": str, "verifier_key": str, "size": int})

    def record(self, record_id: str) -> dict[str, Any]:
        """A record by its id."""
        return self._object("GET", f"/v1/records/{quote(record_id, safe='')}", STORED)

    def entry(self, seq: int) -> dict[str, Any]:
        """A record by its place in the log."""
        return self._object("GET", f"/v1/entries/{seq}", STORED)

    def receipt(self, seq: int) -> bytes:
        """The receipt of an entry (tlog-proof text)."""
        return self._bytes(f"/v1/entries/{seq}/receipt")

    def consistency(self, old: int, new: int) -> list[bytes]:
        """The proof that the tree of size `new` extends the one of size `old`: hashes, for `verify_consistency`."""
        path = f"/v1/proofs/consistency?old={old}&new={new}"
        hashes = self._object("GET", path, {"hashes": list})["hashes"]
        try:
            return [parse_base64(text) for text in hashes]
        except (ValueError, TypeError):
            raise UnreachableError(
                f"what answers at {self.url} is no ledger: its proof is no hashes"
            ) from None

    def file(self, path: str) -> bytes:
        """`checkpoint`, or a tile by its path."""
        return self._bytes(f"/{path}")

    # ---- asking

    def queries(self) -> list[dict[str, Any]]:
        """The named queries with their parameters and columns."""
        return list(self._object("GET", "/v1/queries", {"queries": list})["queries"])

    def query(self, question: Question, *, accept: str = JSON) -> bytes:
        """Ask, and get the answer in the media type that was asked for."""
        path, body = _asking(question)
        return self._send("POST", path, json=body, headers={"Accept": accept}).body

    def table(self, question: Question) -> dict[str, Any]:
        """Ask, and get columns and rows, and which log at which size they are of."""
        path, body = _asking(question)
        return self._object("POST", path, TABLE, json=body, headers={"Accept": JSON})

    # ---- checking

    def start_verification(self, checkpoint: str | None = None, receipts: Sequence[str] = ()) -> str:
        """Have the server verify what it stores, against what is kept outside it. Returns the job's path."""
        body: dict[str, Any] = {"receipts": list(receipts)} if receipts else {}
        if checkpoint is not None:
            body["checkpoint"] = checkpoint
        answer = self._send("POST", "/v1/verify", json=body)
        location = answer.headers.get("Location", "")
        if not location.startswith("/v1/verify/"):
            raise self._stranger(answer)
        return str(location)

    def verification(self, job: str) -> dict[str, Any]:
        """How far a verification is, and when it is finished its report."""
        return self._object("GET", job, {"state": str, "done": int, "total": int})

    # ---- one exchange

    def _object(self, method: str, path: str, has: Mapping[str, type], **options: Any) -> dict[str, Any]:
        """An answer that is a JSON object with at least these members, of these types."""
        answer = self._send(method, path, **options)
        found = answer.json()
        if isinstance(found, dict) and all(isinstance(found.get(name), kind) for name, kind in has.items()):
            return found
        raise self._stranger(answer)

    def _bytes(self, path: str) -> bytes:
        return self._send("GET", path).body

    def _send(self, method: str, path: str, **options: Any) -> "_Answer":
        options["extensions"] = self._extensions
        with self._reaching(), self._http.stream(method, path, **options) as response:
            body = bytearray()
            for chunk in response.iter_bytes():
                body += chunk
                if len(body) > self._max_answer_bytes:
                    raise UnreachableError(
                        f"the ledger at {self.url} answers {path} with more than {self._max_answer_bytes:,} bytes"
                    )
        answer = _Answer(response.status_code, response.headers, f"{method} {path}", bytes(body))
        if response.is_success:
            return answer
        raise self._problem(answer)

    @contextmanager
    def _reaching(self) -> Iterator[None]:
        import httpx  # noqa: PLC0415 - see above

        try:
            yield
        except httpx.ConnectError as error:
            raise UnreachableError(
                f"no ledger answers at {self.url} ({error}); start one with `agent-ledger serve`, or name another: "
                "--url, AGENT_LEDGER_URL"
            ) from None
        except httpx.TimeoutException:
            raise UnreachableError(f"the ledger at {self.url} did not answer in time") from None
        except httpx.HTTPError as error:
            raise UnreachableError(f"the ledger at {self.url} broke off: {error}") from None

    def _problem(self, answer: "_Answer") -> ProblemError | UnreachableError:
        if answer.headers.get("Content-Type") == PROTOBUF:  # a google.rpc.Status: its one text is for people
            words = "".join(filter(str.isprintable, answer.body.decode("utf-8", "ignore")))
            return ProblemError(answer.status, "", words[:MAX_PROBLEM_CHARS], {}, answer.retry_after_s())
        problem = answer.json()
        if not isinstance(problem, dict) or not isinstance(problem.get("type"), str):
            return self._stranger(answer)
        code = problem["type"].removeprefix(PROBLEM_PREFIX)
        detail = str(problem.get("detail") or problem.get("title"))[:MAX_PROBLEM_CHARS]
        members = {name: value for name, value in problem.items() if name not in {"type", "title", "detail"}}
        return ProblemError(answer.status, code, detail, members, answer.retry_after_s())

    def _stranger(self, answer: "_Answer") -> UnreachableError:
        return UnreachableError(
            f"what answers at {self.url} is no ledger: status {answer.status} and something else for {answer.request}"
        )


def _asking(question: Question) -> tuple[str, dict[str, Any]]:
    body: dict[str, Any] = {"parameters": dict(question.parameters)}
    if question.limit is not None:
        body["limit"] = question.limit
    if question.name is not None:
        return f"/v1/queries/{quote(question.name, safe='')}", body
    return "/v1/query", body | {"sql": question.sql}


def _teller(connected: Callable[[], None]) -> Callable[[str, Any], None]:
    """Hears of what httpcore does (https://www.encode.io/httpcore/extensions/#trace)."""

    def tell(event: str, _info: Any) -> None:
        if event == CONNECTED:
            connected()

    return tell


class _Answer(NamedTuple):
    """A whole answer. What it holds may come from anyone."""

    status: int
    headers: "httpx.Headers"
    request: str
    body: bytes

    def json(self) -> Any:
        """The body as JSON, None where it is none."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            return None

    def retry_after_s(self) -> float | None:
        """When to try again, at most MAX_RETRY_AFTER_S from now."""
        seconds = self.headers.get("Retry-After", "")
        return min(float(seconds), MAX_RETRY_AFTER_S) if seconds.isdecimal() else None
