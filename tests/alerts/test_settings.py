"""The file of rules and targets: what is wrong is refused, with its line; and the lists of indicators."""

import re

import pytest

from ledger.alerts.indicators import parse_indicators
from ledger.alerts.lines import line_of
from ledger.alerts.settings import FirstSeen, Webhook, parse_settings, read_settings
from ledger.core.errors import Code, LedgerError
from tests.project.tree import ROOT

GOOD = """# line 1
[[rule]]
name = "new-tool"
kind = "first-seen"
member = "tool.name"

[[target]]
name = "soc"
kind = "webhook"
url = "https://soc.example/hook"
secret_env = "SECRET"
"""


def test_a_good_file_is_read_as_it_says():
    settings = parse_settings(GOOD)
    (rule,), (target,) = settings.rule, settings.target
    assert isinstance(rule, FirstSeen)
    assert (rule.name, rule.kind, rule.member, rule.per_minute) == ("new-tool", "first-seen", "tool.name", 60)
    assert isinstance(target, Webhook)
    assert target.allow_private is False


WRONG = {
    "not TOML": (GOOD.replace('"tool.name"', "tool.name"), 5, "not TOML"),
    "unknown key": (GOOD.replace("member =", "membr ="), 2, "membr"),
    "unknown key of a target": (GOOD + 'urll = "x"\n', 7, "urll"),
    "unknown kind": (GOOD.replace('"first-seen"', '"first-sen"'), 4, "first-sen"),
    "unknown member": (GOOD.replace("tool.name", "tool.nam"), 5, "is it tool.name?"),
    "a content": (GOOD.replace("tool.name", "tool.arguments"), 5, "no member with one value"),
    "a list": (GOOD.replace("tool.name", "identity.scopes"), 5, "no member with one value"),
    "a filter that is none": (GOOD.replace("\n[[target]]", 'where = {tol = "x"}\n\n[[target]]'), 6, "tol"),
    "an empty filter": (GOOD.replace("\n[[target]]", 'where = {tool = ""}\n\n[[target]]'), 6, "characters"),
    "no such target": (GOOD.replace("\n[[target]]", 'targets = ["sok"]\n\n[[target]]'), 6, "sok"),
    "a fact included": (
        GOOD.replace("\n[[target]]", 'include = ["tool.name"]\n\n[[target]]'),
        6,
        "no content",
    ),
    "a name with spaces": (GOOD.replace('"new-tool"', '"new tool"'), 3, "regex"),
    "twins": (GOOD + GOOD[GOOD.index("[[target]]") :], 13, "already"),
    "two addresses": (GOOD + 'url_env = "X"\n', 7, "one of `url`"),
    "no secret": (GOOD.replace('secret_env = "SECRET"\n', ""), 7, "signed"),
    "too patient": (GOOD + "timeout_s = 3600\n", 12, "60"),
    "no rule": ("[[target]]\nname='x'\nkind='file'\npath='/x'\n", 1, "rule"),
    "a relative path": (
        "[[rule]]\nname='m'\nkind='match'\nwhere={type='x'}\n[[target]]\nname='x'\nkind='file'\npath='x'\n",
        8,
        "absolute",
    ),
    "a relative list": (
        "[[rule]]\nname='i'\nkind='indicators'\nfile='x'\n[[target]]\nname='x'\nkind='file'\npath='/x'\n",
        4,
        "absolute",
    ),
    "match without a filter": (
        "[[rule]]\nname='m'\nkind='match'\n[[target]]\nname='x'\nkind='file'\npath='/x'\n",
        1,
        "where",
    ),
    "contents shown by a query": (
        "[[rule]]\nname='q'\nkind='query'\nquery='x'\ncontents=true\ncolumns=['a']\n[[target]]\nname='x'\nkind='file'\npath='/x'\n",
        6,
        "no columns",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_refused_with_its_line(case):
    text, line, says = WRONG[case]
    with pytest.raises(LedgerError) as refusal:
        parse_settings(text)
    assert refusal.value.code == Code.ALERTS_FILE
    assert re.search(rf"line {line}\b", refusal.value.detail), refusal.value.detail
    assert says in refusal.value.detail


def test_the_page_shows_a_file_that_is_taken():
    page = (ROOT / "docs/alerts.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```toml\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert blocks
    whole = parse_settings("\n".join(blocks))
    assert {rule.kind for rule in whole.rule} == {
        "first-seen",
        "denied-then-done",
        "indicators",
        "no-outcome",
        "match",
        "query",
    }
    assert {target.kind for target in whole.target} == {"webhook", "syslog", "otlp", "file"}


def test_a_line_is_found_in_its_own_table_and_not_in_a_text_of_several_lines():
    text = '[[rule]]\nname = """\n[[rule]]\nmember = "x"\n"""\nmember = "a"\n[[target]]\nmember = 1\n[[rule]]\nmember = "b"\n[rule.where]\ntool = "x"\n'
    assert line_of(text, "$.rule[0].member") == 6
    assert line_of(text, "$.rule[1].member") == 10
    assert line_of(text, "$.rule[1].where") == 11
    assert line_of(text, "$.rule[1].other") == 9
    assert line_of(text, "$") == 1


def test_a_file_that_is_not_there_or_too_large_is_refused(tmp_path):
    with pytest.raises(LedgerError, match="cannot be read"):
        read_settings(tmp_path / "none.toml")
    large = tmp_path / "large.toml"
    large.write_bytes(b"#" * (1024 * 1024 + 1))
    with pytest.raises(LedgerError, match="more than"):
        read_settings(large)


# -- indicators

LIST = """# comment
literal Attacker@Evil.example

domain evil.example
sha256 9F86D081884C7D659A2FEAA0C55AD015A3BF4F1B2B0B822CD15D6C15B0F00A08
"""


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("mail to attacker@EVIL.example now", {"literal", "domain"}),
        ("see https://cdn.evil.example/x?y", {"domain"}),
        ("notevil.example and evil.example.org", set()),
        ("sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", {"hash"}),
        ("a9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", set()),
        ("nothing", set()),
    ],
)
def test_an_indicator_is_found_where_it_is_and_nowhere_else(text, found):
    assert {kind for kind, _ in parse_indicators(LIST).found_in(text)} == found


def test_many_literals_find_what_few_would():
    some = [f"needle-{number:05d}-x" for number in range(5_000)]
    many = parse_indicators("\n".join(f"literal {each}" for each in some))
    assert many.grams
    text = f"hay {some[0]} hay {some[4_999].upper()} hay needle-00002-y"
    assert {what for _, what in many.found_in(text)} == {some[0], some[4_999]}


@pytest.mark.parametrize(
    "line", ["literal abc", "domain x", "sha256 12", "ip 1.2.3.4", "evil.example", "md5 " + "g" * 32]
)
def test_a_line_that_is_no_indicator_is_refused_with_its_number(line):
    with pytest.raises(LedgerError, match="line 2"):
        parse_indicators(f"# comment\n{line}\n")
