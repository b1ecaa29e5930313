"""Files that a person or another machine left: settings, lists, spools, dumps, backups, messages on their way through the gateway."""

import contextlib
import json
import tempfile
from collections.abc import Callable, Iterator
from functools import cache
from hashlib import sha256
from pathlib import Path
from zlib import crc32

import rfc8785

from ledger.alerts.indicators import parse_indicators
from ledger.alerts.outbound import parse_address, parse_endpoint
from ledger.alerts.settings import parse_settings
from ledger.client.spool import Spool
from ledger.core.checkpoint import parse_checkpoint
from ledger.core.keyhistory import KeyHistory
from ledger.core.note import parse_note, sign_note
from ledger.gateway import jcs
from ledger.gateway.message import Refused, parse_client
from ledger.gateway.policy import Asked, PolicyError, Rule, load_policy
from ledger.gateway.sse import Events
from ledger.upkeep.backupset import LIST, NOTE, FileInfo, SegmentInfo, format_list, open_backup, sign_backup
from ledger.upkeep.transfer import ABOUT, read_about
from tests.fuzz.target import Target, holds
from tests.fuzz.texts import LOG, ORIGIN, checkpoint

HISTORY = KeyHistory.begin(LOG.key)


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    """A folder of a moment, in memory where there is one."""
    memory = Path("/dev/shm")  # noqa: S108
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as made:
        yield Path(made)


def text(parse: Callable[[str], object]) -> Callable[[bytes], bool]:
    """A parser of a text file: it parses or says why not."""

    def run(data: bytes) -> bool:
        try:
            read = data.decode()
        except UnicodeDecodeError:
            return False
        try:
            parse(read)
        except ValueError:
            return False
        return True

    return run


def indicators(given: str) -> None:
    read = parse_indicators(given)
    for domain in read.domains:
        found = set(read.found_in(f"to www.{domain}/x"))
        holds(("domain", domain) in found or "." not in domain, "a domain is found below itself", given)
    for literal in read.literals:
        found = {value for _, value in read.found_in(f"x{literal}x")}
        holds(literal in found, "a literal is found", given)


def endpoint(given: str) -> None:
    found = parse_endpoint(given, allow_private=True)
    holds(bool(found), "an endpoint is one", given)


def address(given: str) -> None:
    _, port = parse_address(given)
    holds(0 < port < 65_536, "a port is one", given)


def tool_policy(data: bytes) -> bool:
    """What is denied stays denied, and by a rule that has a name."""
    with folder() as place:
        (place / "policy.toml").write_bytes(data)
        try:
            read = load_policy(place / "policy.toml")
        except PolicyError:
            return False
    call = Asked("tools/call", "send_money", "bank", {"to": "x", "n": [1, {"a": "b"}]})
    verdict = read.judge(call)
    rules = {"deny": read.deny, "require_approval": read.require_approval, "allow": []}[verdict.effect]
    holds(
        verdict.effect == "allow" or verdict.rule in {rule.rule for rule in rules},
        "a verdict names its rule",
        data,
    )
    all_of_it = [rule for rule in read.deny if rule == Rule(rule.rule, reason=rule.reason)]
    holds(not all_of_it or verdict.effect == "deny", "a rule that denies everything denies", data)
    return True


def message(data: bytes) -> bool:
    """What passes the gateway, another parser reads as the same: no key twice, and each message stands in the body as its bytes."""
    try:
        found = parse_client(data, line=True)
    except Refused:
        return False
    pairs: list[str] = []

    def seen(members):
        names = [name for name, _ in members]
        holds(len(names) == len(set(names)), "no key stands twice", data)
        pairs.extend(names)
        return dict(members)

    value = json.loads(data, object_pairs_hook=seen)
    values = value if isinstance(value, list) else [value]
    holds([json.loads(each.data) for each in found] == values, "each message is its bytes", data)
    return True


def server_events(data: bytes) -> bool:
    """However a stream is cut, its events are the same. The first byte says where."""
    cut, body = (data[0] if data else 0) + 1, data[1:]
    whole, pieces = Events(), Events()
    one = [*whole.feed(body), *whole.end()]
    many = [event for at in range(0, len(body), cut) for event in pieces.feed(body[at : at + cut])]
    many += pieces.end()
    holds(one == many, "a stream has the same events however it is cut", body, one, many)
    return bool(one)


def canonical_form(data: bytes) -> bool:
    """RFC 8785 of what a server sent, where another implementation gives one too."""
    try:
        value = json.loads(data)
        made = jcs.canonical(value)
    except (ValueError, RecursionError):
        return False
    with contextlib.suppress(rfc8785.CanonicalizationError, RecursionError):
        holds(made == rfc8785.dumps(value), "RFC 8785 says the same", data)
    return True


def spool(data: bytes) -> bool:
    """What comes out of a spool is a line whose checksum holds; all else is kept aside, and nothing stops it."""
    with folder() as place:
        place.chmod(0o700)
        (place / f"{1:016d}.spool").write_bytes(data)
        (place / f"{1:016d}.spool").chmod(0o600)
        opened = Spool(place)
        opened.open()
        try:
            found, end = [], 0
            while batch := opened.read(10, 1_000_000):
                found += [line for line, _ in batch]
                end = batch[-1][1]
                opened.delivered(end)
            holds(
                all(line is None or (line in data and b"%08x" % crc32(line) in data) for line in found),
                "a line is what was written",
                data,
            )
        finally:
            opened.close()
    return any(line is not None for line in found)


def dump(data: bytes) -> bool:
    with folder() as place:
        (place / ABOUT).write_bytes(data)
        about, keys, head = read_about(place, LOG.key)
    holds(keys == HISTORY, "a dump has its log's keys", data)
    holds((head.origin, head.size) == (about.origin, about.size), "a dump is of its log", data)
    holds(
        head == parse_checkpoint(parse_note(about.checkpoint.encode()).text),
        "a dump is at its checkpoint",
        data,
    )
    return True


def backup(data: bytes) -> bool:
    """A backup's note as its log would have signed it: text, an empty line, the list of segments."""
    head, _, listed = data.partition(b"\n\n")
    with folder() as place:
        text = (
            head.decode("utf-8", "replace")
            .replace("<list>", sha256(listed).hexdigest())
            .replace("<bytes>", str(len(listed)))
        )
        (place / NOTE).write_bytes(sign_note(f"{text}\n", LOG))
        (place / LIST).write_bytes(listed)
        read = open_backup(place, LOG.key)
    holds(
        read.head.origin == ORIGIN and all("/" not in name for name in read.files),
        "a backup names its own files",
        data,
    )
    return True


@cache
def about_seed() -> bytes:
    note = checkpoint("a", 5)
    head = parse_checkpoint(parse_note(note).text)
    files = {name: {"bytes": 1, "sha256": "0" * 64} for name in ("entries.parquet", "persons.parquet")}
    return json.dumps(
        {
            "format": 1,
            "origin": ORIGIN,
            "verifier_key": str(LOG.key),
            "size": 5,
            "root": head.root.hex(),
            "checkpoint": note.decode(),
            "contents": True,
            "files": files,
        }
    ).encode()


def backup_seed() -> bytes:
    listed = format_list({0: SegmentInfo(1, "0" * 64), 5: SegmentInfo(2, "1" * 64)})
    note = sign_backup(
        LOG,
        HISTORY,
        checkpoint("a", 5),
        "2026-11-21T09:30:00Z",
        {LIST: FileInfo(len(listed), sha256(listed).hexdigest())},
    )
    said = (
        parse_note(note)
        .text[:-1]
        .replace(sha256(listed).hexdigest(), "<list>")
        .replace(f'"bytes":{len(listed)}', '"bytes":<bytes>')
    )
    return said.encode() + b"\n\n" + listed


ALERTS = b"""[[rule]]
name = "new-tool"
kind = "first-seen"
member = "tool.name"
per = "identity.agent_id"

[[rule]]
name = "round"
kind = "denied-then-done"
minutes = 60

[[target]]
name = "hook"
kind = "webhook"
url = "https://siem.example/x"
secret_env = "SECRET"
"""
POLICY = b"""id = "p"

[[deny]]
rule = "no-money"
tools = ["send_*"]
methods = ["tools/call"]
arguments = { "n.a" = ["b*"] }

[[require_approval]]
rule = "ask"
servers = ["b?nk"]

[approval]
url = "https://approve.example/"
"""
CALL = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "tools/call",
    "params": {"name": "pay", "arguments": {"a": [1.5, None]}, "_meta": {}},
}

TARGETS = (
    Target(
        "alerts",
        text(parse_settings),
        lambda: [ALERTS],
        pieces=(
            b"[[rule]]",
            b"kind = ",
            b"[[target]]",
            b"minutes = ",
            b"inf",
            b"nan",
            b"= 1979-05-27",
            b"'''",
        ),
    ),
    Target(
        "indicators",
        text(indicators),
        lambda: [
            b"# c\nliteral password1\ndomain Evil.example.\nsha256 " + b"0" * 64 + b"\nmd5 " + b"f" * 32
        ],
        1_024,
    ),
    Target(
        "endpoint",
        text(endpoint),
        lambda: [b"https://siem.example/x?y=1", b"http://[::1]:80/", b"http://127.0.0.1:8080/a"],
        256,
        (b"@", b"[::ffff:7f00:1]", b"%2f", b"\\", b"0x7f.1", b"\xe3\x80\x82", b":99999"),
    ),
    Target(
        "address",
        text(address),
        lambda: [b"siem.example:514", b"[::1]:514"],
        128,
        (b":", b"[", b"]", b"99999", b"\xd9\xa3"),
    ),
    Target(
        "tool-policy",
        tool_policy,
        lambda: [POLICY, b""],
        1_024,
        (b"[[deny]]", b"[approval]", b"url = ", b"timeout_s = ", b"inf", b"[[require_approval]]"),
    ),
    Target(
        "mcp-message",
        message,
        lambda: [
            json.dumps(CALL).encode(),
            json.dumps([CALL, {"jsonrpc": "2.0", "method": "notifications/x"}]).encode(),
            b'{"id":"a","result":{}}',
        ],
        1_024,
        (
            b'"Method":',
            b"\\u0000",
            b'"METHOD"',
            b'"id":1e0',
            b"\xef\xbb\xbf",
            b'"method\\u0000":',
            b"\r",
            b"-0",
        ),
    ),
    Target(
        "sse",
        server_events,
        lambda: [
            b"\x03event: message\r\ndata: a\r\ndata:b\r\n\r\n:c\n\ndata\n\n",
            b"\x00\xef\xbb\xbfdata: x\r\rdata: y\n\n",
            b"\x01data: z\r",
        ],
        512,
        (b"\r\n", b"\r", b"\n\n", b"data:", b"\xef\xbb\xbf"),
    ),
    Target(
        "jcs",
        canonical_form,
        lambda: [
            b'{"b":1.5e300,"a":[1e-7,0.1,-0.0,1e21,123456789012345680000],"\\ud83d\\ude00":"\\u2028"}',
            b"[5e-324,1.7976931348623157e308]",
        ],
        512,
        (b"1e400", b"NaN", b"\\ud800", b"9" * 30, b"1e-7", b"\\ufb33"),
    ),
    Target(
        "spool",
        spool,
        lambda: [b"".join(b"%08x %b\n" % (crc32(line), line) for line in (b'{"a":1}', b"", b'{"id":"x"}'))],
        1_024,
    ),
    Target("dump", dump, lambda: [about_seed()]),
    Target("backup", backup, lambda: [backup_seed()]),
)
