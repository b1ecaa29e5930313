"""A log with everything in it that can be tampered with, and hands that tamper."""

import base64
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from ledger.audit.fsck import verify_folder
from ledger.core.canonical import dumps
from ledger.core.ed25519 import SigningKey
from ledger.core.entry import commitment, record_signing_input
from ledger.core.note import VerifierKey, parse_vkey
from ledger.core.report import Report
from ledger.log.log import Log
from ledger.storage.schema import PERSON_SCHEMA, ROW_SCHEMA
from tests.log.conftest import ORIGIN, post, record

AGENT = SigningKey(bytes(range(32)))
DATABASE = "hot/00000001.duckdb"
GROUP = 10  # records in each of the last group commits


class Evidence:
    """A stopped log, and what was kept of it elsewhere.

    Attributes:
        base: the folder with the data folder and its head anchor; never changed.
        pin: the checkpoint of the whole log.
        middle: the checkpoint at size `MIDDLE`.
        receipt: of entry 7.
    """

    MIDDLE = 21

    def __init__(self, base: Path) -> None:
        self.base = base
        Log.create(base / "data", ORIGIN)
        log = Log.open(base / "data")
        self.vkey: VerifierKey = parse_vkey(log.vkey)
        for number in range(1, self.MIDDLE):
            post(log, record(number))
        self.middle = log.head().note
        log.append_own(
            "log.access_granted",
            {"log.key_id": "agent-7", "log.public_key": base64.b64encode(AGENT.public).decode()},
        )
        post(log, sealed(900, withhold=False), sealed(901, withhold=True))
        for low in range(100, 100 + 3 * GROUP, GROUP):
            post(log, *[record(number, request=asking(number)) for number in range(low, low + GROUP)])
        head = log.head()
        self.size, self.pin, self.root, self.receipt = head.size, head.note, head.root, log.receipt(7)
        self.entries = [log.stored(seq) for seq in range(self.size)]
        log.close()

    def copy(self, to: Path) -> Path:
        """The data folder and its head anchor, to tamper with."""
        shutil.copytree(self.base, to, dirs_exist_ok=True)
        return to / "data"

    def verify(self, data: Path, **kept: Any) -> Report:
        return verify_folder(data, vkey=self.vkey, **kept)


def asking(number: int) -> dict:
    return {"user": f"user-{number % 4}@example.com", "conversation_id": "c", "text": f"words {number}"}


def sealed(number: int, *, withhold: bool) -> dict:
    salt, text, user = os.urandom(16), b'"pay the bill"', b'"carol@example.com"'
    person = bytes(range(16))
    body = {
        "id": f"rec-{number:05d}",
        "type": "action",
        "time": "2026-11-21T09:30:00.000001Z",
        "request": {"user": commitment(person, user).hex(), "text": commitment(salt, text).hex()},
    }
    signature = AGENT.sign(record_signing_input(ORIGIN, dumps(body)))
    disclosures = [
        {"member": "request.text", "salt": salt.hex(), "value": "pay the bill"},
        {"member": "request.user", "salt": person.hex(), "value": "carol@example.com"},
    ]
    return {
        "record": body,
        "signature": {"key": "agent-7", "sig": base64.b64encode(signature).decode()},
        "disclosures": [] if withhold else disclosures,
    }


def execute(data: Path, *statements: str | tuple[str, list[Any]]) -> None:
    """Tamper by hand with the service stopped."""
    connection = duckdb.connect(str(data / DATABASE))
    for statement in statements:
        sql, parameters = statement if isinstance(statement, tuple) else (statement, [])
        connection.execute(sql, parameters)
    connection.close()


def store(data: Path, table: str, column: str, where: str, value: Any) -> None:
    """Put one value into one column of one row."""
    field = (ROW_SCHEMA if table == "entries" else PERSON_SCHEMA).field(column)
    connection = duckdb.connect(str(data / DATABASE))
    connection.register("given", pa.table({"value": pa.array([value], field.type)}))
    connection.execute(f'UPDATE {table} SET "{column}" = (SELECT value FROM given) WHERE {where}')
    connection.close()


def found(report: Report) -> list[tuple[str, int | None]]:
    """Kinds and places, without repetition."""
    return list(dict.fromkeys((str(finding.kind), finding.seq) for finding in report.findings))


Change = Callable[[Any], Any]


def altered(value: Any) -> Any:
    """Another value of the same type, as near as can be."""
    if isinstance(value, int):
        return value + 1_000
    if isinstance(value, bytes):
        return bytes([value[0] ^ 1]) + value[1:]
    if isinstance(value, str):
        middle = len(value) // 2
        return value[:middle] + chr(ord(value[middle]) ^ 1) + value[middle + 1 :]
    raise TypeError(value)
