"""The scrub verifies what is sealed beside the server, slowly, and says where something is wrong."""

import logging
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ledger.audit.scrub import WORKER, Scrub
from ledger.audit.scrub_worker import paced
from ledger.core.note import format_vkey
from ledger.telemetry import Telemetry
from tests.audit.sealed_log import SIGNER, SealedLog

VKEY = format_vkey(SIGNER.key)


@pytest.fixture(scope="module")
def evidence(tmp_path_factory) -> SealedLog:
    return SealedLog(tmp_path_factory.mktemp("sealed"), 2500, (901, 2101))


def rounds(scrub: Scrub, count: int) -> None:
    deadline = time.monotonic() + 60
    while scrub.state().rounds < count and time.monotonic() < deadline:
        time.sleep(0.05)
    assert scrub.state().rounds >= count, scrub.state()


def test_it_goes_round_and_names_the_first_wrong_place(evidence: SealedLog, tmp_path: Path, caplog):
    data = evidence.copy(tmp_path)
    scrub = Scrub(data, VKEY, 1000, first_s=0.01, pause_s=0.01)
    telemetry = Telemetry()
    telemetry.observe_scrub(scrub)
    try:
        rounds(scrub, 1)
        assert (scrub.state().size, scrub.state().findings, scrub.state().problem) == (2101, 0, "")
        path = data / "segments" / f"{901:016d}" / "hashes"
        raw = bytearray(path.read_bytes())
        raw[64] ^= 1
        path.write_bytes(raw)
        with caplog.at_level(logging.ERROR):
            rounds(scrub, scrub.state().rounds + 2)
    finally:
        scrub.close()
    assert scrub.state().findings > 0
    assert "hashes, entry 903 is altered" in scrub.state().first
    assert "hashes, entry 903 is altered" in caplog.text


def test_it_ends_with_the_process_that_started_it(evidence: SealedLog):
    worker = subprocess.Popen(
        [sys.executable, "-m", WORKER, str(evidence.base / "data"), VKEY, "1"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    time.sleep(1.0)
    assert worker.poll() is None
    worker.stdin.close()
    assert worker.wait(30) == 1
    worker.stdout.close()


def test_it_is_closed_in_the_middle_of_a_round(evidence: SealedLog):
    scrub = Scrub(evidence.base / "data", VKEY, 0.0001, first_s=0.01)
    time.sleep(1.5)
    began = time.monotonic()
    scrub.close()
    assert time.monotonic() - began < 5
    assert scrub.state().rounds == 0


def test_switched_off_it_does_nothing(evidence: SealedLog):
    scrub = Scrub(evidence.base / "data", VKEY, 0, first_s=0.0)
    time.sleep(0.2)
    scrub.close()
    assert scrub.state().shown()["rounds"] == 0


def test_what_is_read_is_held_to_a_rate():
    pace = paced(1_000_000)
    began = time.monotonic()
    for _ in range(20):
        pace(25_000)
    assert 0.4 < time.monotonic() - began < 5
