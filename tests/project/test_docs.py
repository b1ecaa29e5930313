"""What the pages claim exists."""

import re

import pytest

from ledger.cli.lazy import load
from tests.project.tree import ROOT, place, texts, tracked

PAGES = sorted(path for path in tracked() if path.suffix == ".md")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
CODE_PATH = re.compile(r"`((?:ledger|schemas|queries|tests|docs|demo|benchmarks|requirements)/[\w./-]*\w/?)`")


@pytest.mark.parametrize("page", PAGES, ids=place)
def test_every_link_of_a_page_leads_to_a_file(page):
    links = {
        link.split("#")[0] for link in LINK.findall(page.read_text(encoding="utf-8")) if "://" not in link
    }
    assert {link for link in links if link and not (page.parent / link).exists()} == set()


@pytest.mark.parametrize("page", PAGES, ids=place)
def test_every_path_a_page_names_exists(page):
    assert {
        name for name in CODE_PATH.findall(page.read_text(encoding="utf-8")) if not (ROOT / name).exists()
    } == set()


def test_every_command_of_make_that_a_page_names_exists():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    named = {
        name
        for page in PAGES
        for name in re.findall(r"`make ([\w-]+)|^ {4}make ([\w-]+)", page.read_text("utf-8"), re.MULTILINE)
    }
    commands = {name for pair in named for name in pair if name}
    assert "demo" in commands
    assert {name for name in commands if not re.search(rf"^{name}:", makefile, re.MULTILINE)} == set()


def test_every_room_is_on_the_map():
    rooms = {f"ledger/{path.name}" for path in (ROOT / "ledger").iterdir() if (path / "__init__.py").exists()}
    listed = set(
        re.findall(r"^\| `(ledger/\w+)` \|", (ROOT / "ARCHITECTURE.md").read_text("utf-8"), re.MULTILINE)
    )
    assert listed == rooms


def test_every_page_that_code_names_exists():
    named = {
        (place(path), page)
        for path, text in texts()
        if path.suffix in {".py", ".sql", ".toml"}
        for page in re.findall(r"\bdocs/[\w/-]+\.md\b", text)
    }
    assert len(named) > 1
    assert {(file, page) for file, page in named if not (ROOT / page).exists()} == set()


def test_every_setting_of_serve_stands_in_the_readme_with_its_variable_and_default():
    lines = (ROOT / "README.md").read_text("utf-8").split("\n")
    rows = [[cell.strip() for cell in line.split("|")[1:4]] for line in lines if line.startswith("| `--")]
    listed = {option.strip("`"): (variable, default) for option, variable, default in rows}
    options = [option for option in load("serve").params if option.name != "help"]
    assert len(options) > 1
    for option in options:
        variable, default = listed[option.opts[0]]
        assert re.findall(r"AGENT_LEDGER_\w+", variable) == [option.envvar] * (option.envvar is not None)
        shown = {None: "", False: "off"}.get(option.default, str(option.default))
        assert shown in default, f"README: the default of {option.opts[0]} is {shown}"


def test_every_decision_is_dated_indexed_and_says_what_was_rejected():
    decisions = sorted((ROOT / "docs" / "adr").glob("0*.md"))
    index = (ROOT / "docs" / "adr" / "README.md").read_text(encoding="utf-8")
    assert [path.name[:4] for path in decisions] == [
        f"{number:04}" for number in range(1, len(decisions) + 1)
    ]
    for path in decisions:
        text = path.read_text(encoding="utf-8")
        assert re.search(r"^20\d\d-\d\d-\d\d · ", text, re.MULTILINE), f"{place(path)} has no date"
        assert "**Rejected.**" in text, f"{place(path)} does not say what was rejected"
        assert f"]({path.name})" in index, f"{place(path)} is not in the index"


def test_the_programs_of_others_are_named_in_the_versions_that_are_pinned():
    told = (ROOT / "docs/witnesses.md").read_text("utf-8").partition("## With code that is not ours")[2]
    modules = (ROOT / "tests/interop/go/go.mod").read_text("utf-8")
    packages = (ROOT / "requirements/interop.txt").read_text("utf-8")
    pinned = re.findall(r"^\t(\S+) (v[\d.]+)$", modules, re.MULTILINE)
    pinned += re.findall(r"^(tlog-scales)==(\S+)", packages, re.MULTILINE)
    assert len(pinned) >= 6
    assert {f"{name} {version}" for name, version in pinned if version not in told} == set()
