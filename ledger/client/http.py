"""A small HTTP client of the ledger: one method per question, errors as exceptions with the problem's own words."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any, NamedTuple, Self
from urllib.parse import quote

from ledger.client.address import parse_url, tls_context, unreachable
from ledger.client.questions import NEXT, QUERY_ID, Page, Question, asking
from ledger.core.text import parse_base64

# httpx takes longer to import than all of the SDK: it is imported by whoever makes a connection.
if TYPE_CHECKING:
    import ssl

    import httpx

JSON = "application/json"
PROTOBUF = "application/x-protobuf"
PROBLEM_PREFIX = "urn:agent-ledger:problem:"
TIMEOUT_S = 60.0
CONNECT_TIMEOUT_S = 5.0
CONNECTED = "connection.connect_tcp.complete"
MAX_PROBLEM_CHARS = 2_000
MAX_PROBLEM_BYTES = 64 * 1024
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
        tls: "ssl.SSLContext | None" = None,
    ) -> None:
        """A client of the ledger at `url`; nothing is sent yet. `connected` is called at every new connection; `tls` verifies the server, `tls_context()` when None.

        Raises:
            ValueError: the url is not one, or a file for TLS is no good.
        """
        import httpx  # noqa: PLC0415 - see above

        headers = {"Accept-Encoding": "identity", **({"Authorization": f"Bearer {token}"} if token else {})}
        parse_url(url)
        self.url = url.rstrip("/")
        self._max_answer_bytes = max_answer_bytes
        self._extensions = {"trace": _teller(connected)} if connected is not None else None
        timeout = httpx.Timeout(timeout_s, connect=CONNECT_TIMEOUT_S)
        # No redirects and no proxy: a token goes nowhere but where it was meant to.
        self._http = httpx.Client(
            base_url=self.url,
            headers=headers,
            timeout=timeout,
            verify=tls_context() if tls is None else tls,
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

    def key_proof(self) -> bytes:
        """The proof of the log's keys (`ledger.core.keyhistory`), unchecked."""
        return str(self._object("GET", "/v1/keys", {"proof": str})["proof"]).encode()

    def record(self, record_id: str) -> dict[str, Any]:
        """A record by its id."""
        return self._object("GET", f"/v1/records/{quote(record_id, safe='')}", STORED)

    def entry(self, seq: int) -> dict[str, Any]:
        """A record by its place in the log."""
        return self._object("GET", f"/v1/entries/{seq}", STORED)

    def receipt(self, seq: int, *, entry: bool = False) -> bytes:
        """The receipt of an entry (tlog-proof text), with the `entry` in its extra line where that is asked for."""
        return self._bytes(f"/v1/entries/{seq}/receipt{'?entry=true' if entry else ''}")

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

    def tables(self) -> list[dict[str, Any]]:
        """What a query sees: tables and views with their columns, what each means and whose term it follows."""
        return list(self._object("GET", "/v1/schema", {"tables": list})["tables"])

    def query(self, question: Question, *, accept: str = JSON) -> bytes:
        """Ask, and get the answer in the media type that was asked for."""
        return self.page(question, accept=accept).body

    def page(self, question: Question, *, accept: str = JSON, query_id: str | None = None) -> Page:
        """Ask, and get an answer that says how to go on where there is more.

        Args:
            question: what to ask.
            accept: the media type.
            query_id: by which `cancel` ends it; the ledger's own choice when None.
        """
        path, body = asking(question)
        headers = {"Accept": accept} | ({} if query_id is None else {QUERY_ID: query_id})
        answer = self._send("POST", path, json=body, headers=headers)
        size, root = answer.headers.get("Ledger-Size", ""), answer.headers.get("Ledger-Root", "")
        rows, behind = answer.headers.get("Ledger-Row-Count", ""), answer.headers.get("Ledger-Behind", "0")
        if not (size.isdecimal() and rows.isdecimal() and behind.isdecimal()):
            raise self._stranger(answer)
        return Page(answer.body, int(rows), int(size), root, answer.headers.get(NEXT), int(behind))

    def running(self) -> list[dict[str, Any]]:
        """One's own queries that wait or run."""
        return list(self._object("GET", "/v1/query/running", {"queries": list})["queries"])

    def cancel(self, query_id: str) -> None:
        """End a query."""
        self._send("DELETE", f"/v1/query/running/{quote(query_id, safe='')}")

    def table(self, question: Question) -> dict[str, Any]:
        """Ask, and get columns and rows, and which log at which size they are of."""
        path, body = asking(question)
        return self._object("POST", path, TABLE, json=body, headers={"Accept": JSON})

    # ---- checking

    def start_verification(
        self,
        checkpoint: str | None = None,
        receipts: Sequence[str] = (),
        since: tuple[str, str] | None = None,
    ) -> str:
        """Have the server verify what it stores, against what is kept outside it. Returns the job's path.

        Args:
            checkpoint: a signed checkpoint.
            receipts: receipts.
            since: a verification record to begin from, and the key of whose it is.
        """
        body: dict[str, Any] = {"receipts": list(receipts)} if receipts else {}
        if checkpoint is not None:
            body["checkpoint"] = checkpoint
        if since is not None:
            body["since"], body["verifier_key"] = since
        answer = self._send("POST", "/v1/verify", json=body)
        location = answer.headers.get("Location", "")
        if not location.startswith("/v1/verify/"):
            raise self._stranger(answer)
        return str(location)

    def verification(self, job: str) -> dict[str, Any]:
        """How far a verification is, and when it is finished its report."""
        return self._object("GET", job, {"state": str, "done": int, "total": int})

    # ---- following

    @contextmanager
    def listening(
        self, path: str, *, params: Mapping[str, Any], headers: Mapping[str, str], silence_s: float
    ) -> Iterator[Iterator[bytes]]:
        """An answer that goes on for ever, as the pieces it comes in; nothing for `silence_s` is `UnreachableError`."""
        import httpx  # noqa: PLC0415 - see above

        wait = httpx.Timeout(silence_s, connect=CONNECT_TIMEOUT_S)
        options: dict[str, Any] = {"params": params, "headers": headers, "timeout": wait}
        with self._reaching(), self._http.stream("GET", path, **options) as response:
            if not response.is_success:
                body = b"".join(self._pieces(response, MAX_PROBLEM_BYTES))
                raise self._problem(_Answer(response.status_code, response.headers, f"GET {path}", body))
            yield self._pieces(response)

    # ---- one exchange

    def ask(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, *, timeout_s: float | None = None
    ) -> dict[str, Any]:
        """Send JSON, or nothing, to a route that has no function of its own here; its answer, a JSON object.

        Raises:
            ProblemError: what the ledger says against it.
            UnreachableError: it did not answer within `timeout_s`.
        """
        options: dict[str, Any] = {} if body is None else {"json": body}
        if timeout_s is not None:
            options["timeout"] = timeout_s
        return self._object(method, path, {}, **options)

    def save(
        self, path: str, body: Mapping[str, Any], file: IO[bytes], *, timeout_s: float
    ) -> Mapping[str, str]:
        """Send JSON, and write the answer to a file as it comes; `timeout_s` is for its first byte, and for each after it. Returns its headers."""
        with (
            self._reaching(),
            self._http.stream(
                "POST", path, json=body, timeout=timeout_s, extensions=self._extensions
            ) as response,
        ):
            if not response.is_success:
                refusal = b"".join(self._pieces(response, MAX_PROBLEM_BYTES))
                raise self._problem(_Answer(response.status_code, response.headers, f"POST {path}", refusal))
            for piece in self._pieces(response):
                file.write(piece)
        return response.headers

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
            body = b"".join(self._pieces(response, self._max_answer_bytes))
        answer = _Answer(response.status_code, response.headers, f"{method} {path}", body)
        if response.is_success:
            return answer
        raise self._problem(answer)

    def _pieces(self, response: "httpx.Response", limit: int | None = None) -> Iterator[bytes]:
        """An answer as it was sent, at most `limit` bytes of it. It is not decoded: httpx makes gigabytes of a few kilobytes before anybody can count them."""
        coding, size = response.headers.get("Content-Encoding", "identity"), 0
        if coding.lower() != "identity":
            raise UnreachableError(
                f"what answers at {self.url} does so in {coding!a:.20}, which it was not asked for"
            )
        for piece in response.iter_raw():
            size += len(piece)
            if limit is not None and size > limit:
                path = response.request.url.path
                raise UnreachableError(
                    f"the ledger at {self.url} answers {path} with more than {limit:,} bytes"
                )
            yield piece

    @contextmanager
    def _reaching(self) -> Iterator[None]:
        import httpx  # noqa: PLC0415 - see above

        try:
            yield
        except httpx.ConnectError as error:
            raise UnreachableError(unreachable(self.url, error)) from None
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
