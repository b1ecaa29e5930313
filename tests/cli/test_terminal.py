"""What agents wrote cannot reach into the terminal of whoever looks at it."""

import json
import unicodedata

from rich.console import Console

from ledger.cli import terminal

HOSTILE = "a\x1b[2Jb\u202ec\u200bd\x9be\u2028f\x07g\U000e0041h[bold red]i"


def test_no_control_bidi_or_invisible_character_is_printed():
    unsafe = [
        chr(code) for code in range(0x110000) if unicodedata.category(chr(code)) in {"Cc", "Cf", "Zl", "Zp"}
    ]
    assert len(unsafe) > 200
    assert [character for character in unsafe if terminal.escape(character).isascii() is False] == []
    assert [character for character in unsafe if len(terminal.escape(character)) == 1] == []


def test_text_of_a_cell_is_shown_as_its_escapes_and_never_read_as_markup():
    shown = terminal.cell(HOSTILE).plain
    assert shown == r"a\x1b[2Jb\u202ec\u200bd\x9be\u2028f\x07g\U000e0041h[bold red]i"


def test_json_on_stdout_has_the_same_value_and_no_unsafe_character(capsys):
    terminal.write(json.dumps({"a": HOSTILE}, ensure_ascii=False) + "\n")
    printed = capsys.readouterr().out
    assert json.loads(printed) == {"a": HOSTILE}
    assert terminal.escape(printed, lines=True) == printed


def test_a_long_cell_is_cut_where_one_can_see_it():
    assert terminal.cell("x" * 1000).plain.endswith("… (1000 characters)")


def test_an_error_is_one_line(monkeypatch, capsys):
    monkeypatch.setattr(terminal, "err", Console(stderr=True, width=40))
    terminal.complain("a long sentence\nof two lines " * 10)
    assert capsys.readouterr().err.count("\n") == 1
