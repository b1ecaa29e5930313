"""The log's key and the writers' tokens are rotated under load: nobody is refused, and every receipt verifies, under the first key and under the newest."""

import itertools
import threading
import time
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest

from ledger.audit.fsck import verify_folder
from ledger.client.http import LedgerClient
from ledger.client.witness import Witness
from ledger.core.keyhistory import parse_history
from ledger.core.note import VerifierKey, parse_vkey
from ledger.core.receipt import parse_receipt, verify_receipt_leaf
from ledger.trust.local import digest, new_secret
from tests.faults.server import ORIGIN, Server

OVERLAP_S = 30


class Held(NamedTuple):
    """What a writer has of a record: the leaf hash it was told, and the receipt that it fetched then."""

    seq: int
    leaf: bytes
    receipt: bytes


class Writer:
    """Posts one record after the other until it is told to stop, with the newest token it was handed."""

    def __init__(self, server: Server, name: str) -> None:
        self.name, self.held, self.refused = name, [], []
        self.secret = server.grant(name, "writer")
        self._url = server.url

    def run(self, stop: threading.Event) -> None:
        with httpx.Client(base_url=self._url, timeout=30, trust_env=False) as client:
            for number in itertools.count():
                if stop.is_set():
                    return
                headers = {"Authorization": f"Bearer {self.secret}"}
                body = {
                    "id": f"{self.name}-{number}",
                    "type": "action",
                    "time": "2026-11-21T09:30:00Z",
                    "tool": {"name": "send"},
                }
                answer = client.post("/v1/records", json=body, headers=headers)
                if answer.status_code != 201:
                    self.refused.append((answer.status_code, answer.text))
                    continue
                told = answer.json()
                receipt = client.get(f"/v1/entries/{told['seq']}/receipt", headers=headers)
                if receipt.status_code != 200:
                    self.refused.append((receipt.status_code, receipt.text))
                    continue
                self.held.append(Held(told["seq"], bytes.fromhex(told["leaf_hash"]), receipt.content))


def rotate_token(server: Server, writer: Writer) -> None:
    secret = new_secret()
    body = {"credential": {"type": "bearer", "sha256": digest(secret).hex()}, "overlap_s": OVERLAP_S}
    with server.client() as client:
        client.post(f"/v1/access/{writer.name}/rotate", json=body).raise_for_status()
    writer.secret = secret


def rotate_key(server: Server) -> str:
    with server.client() as client:
        answer = client.post("/v1/keys/rotate", json={"reason": "a test"})
        answer.raise_for_status()
        return answer.json()["current_key"]


def under_load(data: Path, *, rotations: int, every_s: float, writers: int, rotate_entries: int) -> None:
    server = Server(data, options=["--rotate-entries", str(rotate_entries), "--scrub-mib-s", "0"])
    stop = threading.Event()
    try:
        with server.client() as client:
            first = parse_vkey(client.get("/v1/log").json()["verifier_key"])
        posting = [Writer(server, f"writer-{number}") for number in range(writers)]
        threads = [threading.Thread(target=each.run, args=(stop,)) for each in posting]
        pinned = Witness(first)  # an SDK's: it saw the log before, and follows
        with LedgerClient(server.url, server.headers["Authorization"].split()[1]) as client:
            for thread in threads:
                thread.start()
            began = time.monotonic()
            for turn in range(rotations):
                pinned.check(client)
                rotate_key(server)
                rotate_token(server, posting[turn % writers])
                time.sleep(every_s)
                pinned.check(client)
            stop.set()
            for thread in threads:
                thread.join()
            proof = client.key_proof()
    finally:
        stop.set()
        status = server.stop()
    assert status == 0
    held = [each for writer in posting for each in writer.held]
    print({"rotations": rotations, "receipts": len(held), "seconds": round(time.monotonic() - began, 1)})  # noqa: T201
    assert [refusal for writer in posting for refusal in writer.refused] == []
    assert all(len(writer.held) > rotations for writer in posting)
    check_offline(proof, first, held, rotations)
    report = verify_folder(data, vkey=first, receipts=[each.receipt for each in held[::50]])
    assert report.findings == ()


def check_offline(proof: bytes, first: VerifierKey, held: list[Held], rotations: int) -> None:
    """Each receipt, by the first key and the proof, and by the newest key and the proof; and each is signed by the key of its size alone."""
    keys = parse_history(proof, first)
    assert len(keys.terms) == rotations + 1
    assert parse_history(proof, keys.current) == keys
    signed = set()
    for each in held:
        checkpoint = keys.open(parse_receipt(each.receipt).checkpoint_note)
        verify_receipt_leaf(each.receipt, each.leaf, [keys.at(checkpoint.size).key], ORIGIN)
        signed.add(keys.at(checkpoint.size).key)
    assert len(signed) > 1  # some are older than a rotation, some newer


def test_keys_and_tokens_rotate_under_load_and_no_writer_is_refused(tmp_path):
    under_load(tmp_path / "data", rotations=4, every_s=0.3, writers=3, rotate_entries=150)


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_keys_and_tokens_rotate_for_a_minute_and_a_half_and_no_writer_is_refused(tmp_path):
    under_load(tmp_path / "data", rotations=120, every_s=0.7, writers=8, rotate_entries=2000)


def test_a_server_that_is_killed_while_it_rotates_goes_on_with_the_key_that_its_log_names(tmp_path):
    """kill -9 at whatever moment it is, again and again: a rotation that was answered holds, any other did or did not happen."""
    data, answered = tmp_path / "data", []
    for delay_s in (0.002, 0.008, 0.02):
        server = Server(data, options=["--scrub-mib-s", "0"])
        asking = threading.Thread(target=lambda at=server: answered.append(_try(at)))
        asking.start()
        time.sleep(delay_s)
        server.kill()
        asking.join()
    server = Server(data)
    with server.client() as client:
        shown = [each["verifier_key"] for each in client.get("/v1/keys").json()["keys"]]
    assert {key for key in answered if key} <= {*shown}
    assert server.post({"id": "x", "type": "action", "time": "2026-11-21T09:30:00Z"}).status_code == 201
    assert server.stop() == 0
    assert verify_folder(data).findings == ()


def _try(server: Server) -> str | None:
    try:
        return rotate_key(server)
    except httpx.HTTPError:
        return None
