"""docs/limits.md says what the code keeps."""

import re
from importlib import import_module

import pytest

from ledger.cli.serve import MIB
from ledger.log.fair import SMALL_PART
from ledger.log.queue import MAX_RETRY_AFTER_S, QUEUE_BYTES, RECORD_BYTES
from ledger.telemetry.telemetry import MAX_TOKENS
from ledger.trust.quota import BURST_S
from tests.project.tree import ROOT

PAGE = (ROOT / "docs/limits.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| .* \| ([\d,]+)(?: bytes| s)? \| `([\w.]+)\.([A-Z_]+)` \|$", PAGE, re.MULTILINE)


def test_the_page_has_a_table_of_limits():
    assert len(ROWS) == 41


@pytest.mark.parametrize(("said", "module", "name"), ROWS, ids=[name for *_, name in ROWS])
def test_each_limit_is_what_the_page_says(said, module, name):
    assert int(said.replace(",", "")) == getattr(import_module(module), name)


def test_the_words_say_what_the_constants_are():
    assert (RECORD_BYTES, SMALL_PART, BURST_S, MAX_RETRY_AFTER_S, MAX_TOKENS) == (512, 16, 10, 60, 200)
    for words in ("with 512 bytes", "a sixteenth", "Ten seconds' worth", "1 to 60 seconds", "the first 200"):
        assert words in PAGE
    assert QUEUE_BYTES == 64 * MIB
