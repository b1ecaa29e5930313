"""Records, however they come: plain, sealed, in Arrow's columns, from another format. What is taken is canonical and the same however often it is sent."""

import base64
import contextlib
import json
from collections.abc import Callable
from functools import cache

from ledger.core import canonical
from ledger.core.ed25519 import SigningKey
from ledger.core.entry import MAX_ENTRY_BYTES, commitment, record_signing_input
from ledger.core.errors import LedgerError
from ledger.ingest import agt, cloudevents, hermes, kubernetes, native, ogp, openclaw
from ledger.ingest.reading import Reading
from ledger.records.limits import BODY_RECORDS
from ledger.records.prepare import recommit
from ledger.records.prepared import Prepared
from ledger.records.strict import is_strict
from tests.fuzz.target import Target, holds
from tests.ingest import test_agt, test_cloudevents, test_hermes, test_kubernetes, test_ogp, test_openclaw
from tests.ingest.arrows import stream, table
from tests.ingest.conftest import Judge
from tests.ingest.odd import SUBMITTER, prepared
from tests.records.full import full

AGENT = SigningKey(bytes(range(9, 41)))
NOW = 1_795_167_000_000_000_000
SMALL = {"type": "note", "time": "2026-11-21T09:30:00Z", "id": "x"}


def judged(item: Prepared) -> tuple:
    """What is the same whenever a record is sent: all but salts, and an id that was made."""
    record = recommit(item, {each.member: bytes(16) for each in item.contents})
    return (
        record.replace(item.id.encode(), b"*") if item.generated_id else record,
        item.type,
        len(item.contents),
        sorted(item.withheld),
    )


@cache
def judge() -> Judge:
    return Judge(agent_key=lambda key: AGENT.public if key == "agent-1" else None)


def plain(data: bytes) -> bool:
    one, again = judge().json([data, data])
    if isinstance(one, LedgerError):
        holds(
            isinstance(again, LedgerError) and again.detail == one.detail, "a refusal is the same again", data
        )
        raise one
    check(one)
    holds(judged(one) == judged(again), "a record is the same again", data)
    holds(is_strict(data), "what is taken, every parser reads alike", data)
    return True


def check(item: Prepared) -> None:
    """What must hold of every record that is taken."""
    value = canonical.parse_canonical(item.record)
    holds(
        len(item.record) <= MAX_ENTRY_BYTES and item.id == value["id"] and item.type == value["type"],
        "a record is what it says",
        item.record,
    )
    for each in [*item.contents, *item.persons]:
        facet, _, name = each.member.partition(".") if hasattr(each, "member") else ("", "", "")
        if facet:
            holds(
                value[facet][name] == commitment(each.salt, each.value).hex(),
                "a commitment opens to what was sent",
                item.record,
            )


def sealed(data: bytes) -> bool:
    """A record that its agent signed: signed here where it can be, so that what comes after the signature is reached too."""
    with contextlib.suppress(ValueError, RecursionError, TypeError, KeyError, LedgerError):
        body = json.loads(data)
        if isinstance(body, dict) and body.get("signature") == "sign":
            message = record_signing_input("ledger.example/test", canonical.dumps(body["record"]))
            body["signature"] = {"key": "agent-1", "sig": base64.b64encode(AGENT.sign(message)).decode()}
            data = json.dumps(body, ensure_ascii=False).encode("utf-8", "surrogatepass")
    [item] = judge().json([data])
    if isinstance(item, LedgerError):
        raise item
    value = canonical.parse_canonical(item.record)
    if b'"record"' in data and item.signature is not None:
        holds(item.signature[0] == "agent-1", "only a key in force signs", data)
    holds(value["id"] == item.id, "a record is what it says", data)
    return True


def arrow(data: bytes) -> bool:
    """The outcomes of all rows: as the same rows would be as JSON is for tests/ingest to show."""
    outcomes = judge().arrow(data)
    for item in outcomes:
        if isinstance(item, Prepared):
            check(item)
    holds(len(outcomes) <= BODY_RECORDS, "a body has so many records", len(outcomes))
    return any(isinstance(item, Prepared) for item in outcomes)


def split(data: bytes) -> bool:
    """A body of records, in one of two media types: no byte of a record is changed, and nothing of the body is two records'."""
    media = native.NDJSON if data[:1] == b"n" else native.JSON
    body = data[1:]
    found, _ = native.read_records(body, media)
    holds(0 < len(found) <= BODY_RECORDS, "a body has so many records", len(found))
    at = 0
    for each in found:
        at = body.find(each, at)
        holds(at >= 0, "each record stands in the body, in its order", body, each)
        at += len(each)
    return True


# ---- dialects


def dialect(read: Callable[[bytes], Reading]) -> Callable[[bytes], bool]:
    """What is read is the same again, and whatever becomes a record is one that the log takes."""

    def run(data: bytes) -> bool:
        one, again = read(data), read(data)
        holds(
            (one.records, one.dropped) == (again.records, again.dropped),
            "a body is read the same again",
            data,
        )
        for error in one.refused:
            holds(bool(error.path), "a refusal of a part says which part", error.detail)
        for record in one.records:
            prepared(record)
        return bool(one.records)

    return run


def events(data: bytes) -> Reading:
    """CloudEvents, in the mode that the first byte says."""
    mode, body, headers = data[:1], data[1:], {}
    media = {b"s": cloudevents.STRUCTURED, b"b": cloudevents.BATCHED}.get(mode, "application/json")
    if mode not in {b"s", b"b"}:  # lines of headers, an empty line, the data
        head, _, body = body.partition(b"\n\n")
        pairs = [line.partition(b":")[::2] for line in head.split(b"\n")]
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in pairs}
    found = cloudevents.read(body, media_type=media, headers=headers, submitter=SUBMITTER, received_ns=NOW)
    for record in found.own.records:
        with contextlib.suppress(LedgerError):  # its sender wrote it
            prepared(record)
    found.foreign.records.extend(record for record in found.own.records if taken(record))
    return found.foreign


def taken(record: bytes) -> bool:
    try:
        prepared(record)
    except LedgerError:
        return False
    return True


def media_of(data: bytes) -> tuple[bytes, str]:
    """A first byte `n` is for NDJSON."""
    return (data[1:], native.NDJSON) if data[:1] == b"n" else (data, native.JSON)


def with_media(module) -> Callable[[bytes], Reading]:
    timed = {"received_ns": NOW} if module in (hermes, openclaw) else {}

    def read(data: bytes) -> Reading:
        body, media = media_of(data)
        return module.read(body, media_type=media, submitter=SUBMITTER, **timed)

    return read


def federation(data: bytes) -> Reading:
    """The first byte says how the gateway answered."""
    status = {b"2": 200, b"4": 403}.get(data[:1])
    return ogp.read(data if status is None else data[1:], submitter=SUBMITTER, received_ns=NOW, status=status)


def texts(*values: object) -> list[bytes]:
    return [value if isinstance(value, bytes) else json.dumps(value).encode() for value in values]


def shapes(module) -> list[bytes]:
    """The examples that a dialect's own tests are written with, one by one and as lines."""
    found = [value for name, value in vars(module).items() if name.isupper() and isinstance(value, dict)]
    bodies = texts(*found)
    return [*bodies, b"[" + b",".join(bodies) + b"]", b"n" + b"\n".join(bodies)]


def sealed_seeds() -> list[bytes]:
    told = {**SMALL, "request": {"text": commitment(bytes(16), b'"hi"').hex()}}
    disclosure = {"member": "request.text", "salt": "00" * 16, "value": "hi"}
    return texts(
        {"record": told, "signature": "sign", "disclosures": [disclosure]},
        {"record": told},
        {"record": SMALL, "signature": {"key": "agent-1", "sig": "AA=="}},
    )


def streams() -> list[bytes]:
    records = [full() | {"id": f"r-{number}"} for number in range(2)]
    small = table(records).select(
        ["type", "time", "id", "tool_name", "tool_arguments", "request_user", "source_seq"]
    )
    return [
        stream(small),
        stream(small, compression="zstd", rows_per_batch=1),
        stream(small.select(["type", "time"])),
    ]


def binary() -> bytes:
    event = test_cloudevents.EVENT
    head = "\n".join(
        f"{name}:{value}" for name, value in event.items() if name not in {"data", "datacontenttype"}
    )
    return b"h" + head.encode() + b"\n\n" + json.dumps(event["data"]).encode()


def cloud_seeds() -> list[bytes]:
    event = json.dumps(test_cloudevents.EVENT).encode()
    own = json.dumps({**test_cloudevents.EVENT, "type": "ledger.record", "data": SMALL}).encode()
    blocked = json.dumps(test_agt.CLOUDEVENT).encode()
    return [b"s" + event, b"s" + own, b"s" + blocked, b"b[" + event + b"]", binary()]


NASTY = (
    b"\\ud800",
    b"\\u202e",
    b"NaN",
    b"1e999",
    b"-1",
    b"null",
    b"\xff",
    b"Bearer " + b"a" * 40,
    b'"id":"ledger:x"',
    b'{"a":1,"a":2}',
    b"[" * 20,
    b"9" * 30,
    b"\\u0000",
)

TARGETS = (
    Target(
        "record",
        plain,
        lambda: texts(full(), SMALL, {**SMALL, "ext": {"a.b": [1, {"c": None}]}}),
        pieces=NASTY,
    ),
    Target("sealed-record", sealed, sealed_seeds, pieces=NASTY),
    Target("arrow", arrow, streams, 8_192, (b"ARROW1", b"\xff\xff\xff\xff", b"\x00" * 8, b"\xff" * 8)),
    Target(
        "ndjson", split, lambda: [b"j" + texts(SMALL)[0], b"j[{},\n[1] ,{}]", b"n{}\n\n {} \n"], 2_048, NASTY
    ),
    Target("agt", dialect(with_media(agt)), lambda: shapes(test_agt), 8_192, NASTY),
    Target("hermes", dialect(with_media(hermes)), lambda: shapes(test_hermes), 8_192, NASTY),
    Target(
        "kubernetes",
        dialect(with_media(kubernetes)),
        lambda: [
            *texts(test_kubernetes.EXEC, test_kubernetes.events(test_kubernetes.EXEC)),
            b"n" + texts(test_kubernetes.EXEC)[0],
        ],
        8_192,
        NASTY,
    ),
    Target("openclaw", dialect(with_media(openclaw)), lambda: shapes(test_openclaw), 8_192, NASTY),
    Target(
        "ogp",
        dialect(federation),
        lambda: [
            test_ogp.signed(test_ogp.MESSAGE),
            b"4" + test_ogp.signed(test_ogp.MESSAGE),
            *texts(test_ogp.REPLY, test_ogp.REQUEST, test_ogp.REMOVED),
        ],
        8_192,
        NASTY,
    ),
    Target("cloudevents", dialect(events), cloud_seeds, 8_192, NASTY),
)
