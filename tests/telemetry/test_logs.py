"""Threat 38, for the log file: one line per event, whatever is in it; no token, no content."""

import io
import json
import logging

import pytest

from ledger.telemetry.logs import MAX_TEXT, LineFormatter, configure_logging

SECRET = "alt_" + "Zx9-_" * 8
HOSTILE = [
    "first\r\n2026-01-01T00:00:00Z INFO forged line",
    "\x1b[2J\x1b[31mred",
    "separators \u2028 \u2029 \x85 \x0b \x0c",
    "right to left \u202e override",
    "<script>alert(1)</script>",
    '{"level":"ERROR"}',
    "=cmd|' /C calc'!A0",
    "\ud800 alone",
    "\x00",
]


@pytest.fixture
def lines():
    """What was written, parsed; logging is put back afterwards."""
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    stream = io.StringIO()
    configure_logging("DEBUG", stream)

    def written():
        text = stream.getvalue()
        assert text.isascii()
        assert all(char >= " " or char == "\n" for char in text)
        return [json.loads(line) for line in text.splitlines()]

    yield written
    root.handlers[:] = before
    root.setLevel(level)


@pytest.mark.parametrize("text", HOSTILE)
def test_an_event_is_one_line_of_plain_ascii_and_keeps_its_words(lines, text):
    logging.getLogger("ledger.api").warning("refused: %s", text, extra={"members": {"name": text}})
    [line] = lines()
    assert line["event"] == f"refused: {text}"
    assert line["name"] == text
    assert (line["level"], line["logger"]) == ("WARNING", "ledger.api")


@pytest.mark.parametrize(
    "text", [f"token {SECRET}", f"Authorization: Bearer {SECRET}", "bearer abcdef", f"x={SECRET}&y=1"]
)
def test_a_token_is_masked_wherever_it_stands(lines, text):
    logging.getLogger("ledger").info(text, extra={"members": {"header": text}})
    logging.getLogger("ledger").info("%s", text)
    for line in lines():
        assert SECRET not in json.dumps(line)
        assert "abcdef" not in json.dumps(line)
        assert "[masked]" in line["event"]


def test_the_signing_key_is_masked(lines):
    logging.getLogger("ledger").info("read PRIVATE+KEY+example.com/log+0a0b0c0d+AbCd")
    assert "AbCd" not in json.dumps(lines())


def test_an_exception_is_named_by_type_and_place_without_its_words(lines):
    try:
        int("the user's words " + SECRET)
    except ValueError:
        logging.getLogger("ledger").exception("a request failed")
    [line] = lines()
    assert line["error"] == "ValueError"
    assert line["at"][-1].endswith("test_an_exception_is_named_by_type_and_place_without_its_words")
    assert "words" not in json.dumps({**line, "at": []})


def test_an_access_line_has_no_query_string(lines):
    logging.getLogger("uvicorn.access").info(
        '%s - "%s %s HTTP/%s" %d', "127.0.0.1:5", "GET", "/v1/log?token=hunter2&q=words", "1.1", 200
    )
    [line] = lines()
    assert (line["client"], line["method"], line["path"], line["status"]) == (
        "127.0.0.1:5",
        "GET",
        "/v1/log",
        200,
    )
    assert "hunter2" not in json.dumps(line)
    assert "words" not in json.dumps(line)


def test_a_long_event_is_cut(lines):
    logging.getLogger("ledger").info("x" * 1_000_000)
    [line] = lines()
    assert len(line["event"]) < MAX_TEXT + 100
    assert line["event"].endswith("(1000000 characters)")


def test_a_bad_format_string_still_makes_a_line():
    record = logging.LogRecord("ledger", logging.INFO, __file__, 1, "%d of %s", ("one",), None)
    assert json.loads(LineFormatter().format(record))["event"] == "%d of %s"


def test_a_line_says_when_in_utc(lines):
    logging.getLogger("ledger").info("x")
    [line] = lines()
    assert len(line["time"]) == len("2026-11-21T09:30:00.123Z")
    assert line["time"].endswith("Z")
