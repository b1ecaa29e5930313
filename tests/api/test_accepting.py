"""Accept, as RFC 9110 has it."""

import pytest

from ledger.api.accepting import chosen
from ledger.core.errors import Code, LedgerError
from ledger.forensics.render import ARROW, CSV, CSV_RAW, JSON, MEDIA_TYPES, NDJSON, PARQUET


@pytest.mark.parametrize(
    ("accept", "media"),
    [
        ("", JSON),
        ("  ", JSON),
        ("*/*", JSON),
        ("application/*", JSON),
        ("text/*", CSV),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", JSON),
        ("text/csv", CSV),
        ("TEXT/CSV; charset=utf-8", CSV),
        ("text/csv; formulas=raw", CSV_RAW),
        ("text/csv;formulas=raw;q=0.4, application/json;q=0.3", CSV_RAW),
        ("text/csv;q=0.5, application/json", JSON),
        ("text/csv;q=0.5, application/json;q=0.4", CSV),
        ("text/csv, application/json", CSV),
        ("application/vnd.apache.arrow.stream, */*;q=0.1", ARROW),
        ("*/*;q=0.1, application/vnd.apache.parquet", PARQUET),
        ("application/json;q=0, application/*", NDJSON),
        ("image/png, application/x-ndjson;q=0.001", NDJSON),
        ("*/*, application/json;q=0.2, text/csv;q=0.3", NDJSON),
        ("nonsense, text/csv", CSV),
        ("text/csv;q=2, application/json;q=0.1", JSON),
        ("text/csv;q=x, application/json;q=0.1", JSON),
        ("text/csv;q=nan, application/json;q=0.1", JSON),
    ],
)
def test_the_answer_comes_in_what_accept_weighs_most(accept, media):
    assert chosen(accept, MEDIA_TYPES) == media


@pytest.mark.parametrize(
    "accept",
    [
        "image/png",
        "*/*;q=0",
        "text/csv;q=0.0",
        "text/csv; formulas=maybe",
        "*/csv",
        "nonsense",
        ",",
        "application/json;q=0",
    ],
)
def test_what_cannot_be_made_is_not_acceptable_and_the_answer_says_what_can(accept):
    with pytest.raises(LedgerError) as refusal:
        chosen(accept, MEDIA_TYPES)
    assert refusal.value.code == Code.NOT_ACCEPTABLE
    assert all(media in refusal.value.detail for media in MEDIA_TYPES)
