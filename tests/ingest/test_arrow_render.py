"""Canonical JSON by Arrow's string kernels, against the encoder of `core`."""

import json
import re

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.core import canonical
from ledger.core.errors import LedgerError
from ledger.ingest.arrow.render import bare, joined, object_of, quoted
from ledger.records.secrets import _SHAPES, SIEVE, refuse_secrets

rows = st.lists(
    st.fixed_dictionaries(
        {"id": st.text("abc", min_size=1)},
        optional={
            "a": st.fixed_dictionaries({}, optional={"x": st.text("abc"), "y": st.integers(0, 9)}),
            "b": st.fixed_dictionaries({}, optional={"x": st.text("abc")}),
            "z": st.text("abc"),
        },
    ),
    min_size=1,
    max_size=8,
)


@settings(max_examples=300, deadline=None)
@given(rows)
def test_whatever_is_missing_in_a_row_its_json_is_its_own(sent):
    def column(*path):
        found = []
        for row in sent:
            value = row
            for name in path:
                value = value.get(name) if isinstance(value, dict) else None
            found.append(value)
        return found

    def text(*path):
        return quoted(pa.array(column(*path), pa.string()))

    def number(*path):
        return bare(pa.array(column(*path), pa.int64()).cast(pa.string()))

    members = {
        "a": object_of([("x", text("a", "x")), ("y", number("a", "y"))]),
        "b": object_of([("x", text("b", "x"))]),
        "id": text("id"),
        "z": text("z"),
    }
    made = joined(object_of(sorted(members.items())).tokens).to_pylist()
    expected = [{name: value for name, value in row.items() if value != {}} for row in sent]
    assert made == [canonical.dumps(row).decode() for row in expected]


@pytest.mark.parametrize("shape", _SHAPES, ids=lambda shape: shape[1].decode())
def test_what_is_refused_as_a_secret_goes_through_the_sieve(shape):
    """The sieve decides which rows are looked at: one that it lets pass would stand in the log."""
    samples = {
        b"-----BEGIN ": "-----BEGIN RSA PRIVATE KEY-----",
        b"PRIVATE+KEY+": "PRIVATE+KEY+name+0123abcd+",
        b"eyJ": "eyJ" + "a" * 12 + ".eyJ" + "b" * 12 + "." + "c" * 12,
        b"KIA": "AKIA" + "A" * 16,
        b"SIA": "ASIA" + "A" * 16,
        b"AIza": "AIza" + "a" * 35,
        b"gh": "ghp_" + "a" * 36,
        b"github_pat_": "github_pat_" + "a" * 40,
        b"glpat-": "glpat-" + "a" * 20,
        b"xox": "xoxb-" + "1" * 10,
        b"sk-": "sk-ant-" + "a" * 20,
        b"sk_live_": "sk_live_" + "a" * 20,
        b"alt_": "alt_" + "a" * 32,
        b"://": "https://ann:hunter2" + "@db.example.com",
        b"earer ": "Bearer " + "a" * 20,
    }
    for around in ("%s", "x (%s)", "ü%sü", "%s."):
        record = json.dumps({"tool": {"name": around % samples[shape[1]]}}, ensure_ascii=False).encode()
        if re.search(shape[2], record):
            with pytest.raises(LedgerError, match="looks like"):
                refuse_secrets(record)
            assert pc.match_substring_regex(pa.array([record.decode()]), SIEVE)[0].as_py()
    assert re.search(shape[2], f'"{samples[shape[1]]}"'.encode())
