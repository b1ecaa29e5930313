"""The rules of CONTRIBUTING.md that ruff and mypy do not know."""

import ast
import re

from tests.project.tree import PYPROJECT, ROOT, place, python, texts

MAX_LINES = 400

# Written apart, so that this file does not contain what it looks for.
MACHINE_PATHS = re.compile(r"(?<![\w.])/(?:roo" + r"t|wor" + r"k|home/(?!user\b|you\b)\w+|User" + r"s/\w+)/")
REGISTRIES = re.compile(
    "|".join(("pypi" + r"\.org", "python" + r"hosted\.org", "registry" + r"\.npmjs", "crates" + r"\.io/"))
)


def found(pattern: re.Pattern[str]) -> list[str]:
    return [
        f"{place(path, number)}: {line.strip()[:100]}"
        for path, text in texts()
        for number, line in enumerate(text.split("\n"), 1)
        if pattern.search(line)
    ]


def test_the_product_never_asserts():
    asserts = [
        place(path, node.lineno)
        for path, text in python("ledger")
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Assert)
    ]
    assert asserts == [], "python -O removes them: raise a LedgerError"


def test_no_file_of_the_product_is_too_long_to_hold_in_the_head():
    lengths = {place(path): text.count("\n") for path, text in python("ledger")}
    assert {name: lines for name, lines in lengths.items() if lines > MAX_LINES} == {}


def test_no_file_names_a_path_of_somebodys_machine():
    assert found(MACHINE_PATHS) == []


def test_no_file_names_a_package_registry():
    assert found(REGISTRIES) == []


def test_every_query_says_what_it_answers():
    for path in sorted((ROOT / "queries").glob("*.sql")):
        header = path.read_text(encoding="utf-8").split("\n\n")[0]
        for member in ("title", "answers", "columns"):
            assert re.search(rf"^-- {member}: \S", header, re.MULTILINE), f"{place(path)} has no -- {member}:"


def test_every_exception_from_the_linter_is_argued():
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    section = text[text.index("[tool.ruff.lint]") : text.index("[tool.ruff.lint.pydocstyle]")]
    rules = [line for line in section.split("\n") if line.startswith("    ")]
    assert len(rules) > 1
    assert [line for line in rules if " # " not in line] == []


def test_every_dependency_is_argued():
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert len(PYPROJECT["project"]["dependencies"]) > 1
    for requirement in PYPROJECT["project"]["dependencies"]:
        line = next(line for line in text.split("\n") if f'"{requirement}"' in line)
        assert " # " in line, f"{requirement}: say why the project needs it"
