"""What is installed is pinned by hash, agrees everywhere and says nothing of where it came from."""

import re

import pytest

from tests.project.tree import PYPROJECT, ROOT

FOLDER = ROOT / "requirements"
FILES = sorted(str(path.relative_to(FOLDER)) for path in FOLDER.rglob("*.txt"))
PIN = re.compile(
    r"^([a-z0-9][a-z0-9._-]*)==(\S+)((?:.*\\\n)(?: +--hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)", re.MULTILINE
)


def text(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")


def pins(name: str) -> dict[str, str]:
    return {match[1]: match[2] for match in PIN.finditer(text(name))}


def normal(requirement: str) -> str:
    return re.sub(r"[-_.]+", "-", re.split(r"[\[<>=!~; ]", requirement, maxsplit=1)[0]).lower()


@pytest.mark.parametrize("name", FILES)
def test_every_requirement_is_pinned_by_hash(name):
    requirements = [line for line in text(name).split("\n") if line and line[0] not in " #"]
    assert len(requirements) == len(PIN.findall(text(name))) > 0


@pytest.mark.parametrize("name", FILES)
def test_no_requirement_file_names_an_address_or_an_option(name):
    assert re.search(r"://|^--|^-[a-z] | @ ", text(name), re.MULTILINE) is None


@pytest.mark.parametrize(
    ("small", "large"),
    [
        ("client.txt", "runtime.txt"),
        ("runtime.txt", "demo.txt"),
        ("build.txt", "demo.txt"),
        ("demo.txt", "test.txt"),
        ("test.txt", "fuzz.txt"),
    ],
)
def test_a_smaller_set_is_part_of_the_larger_one(small, large):
    assert pins(small).items() <= pins(large).items()


def test_the_client_set_is_the_base_install_and_the_runtime_set_a_servers():
    base = {normal(item) for item in PYPROJECT["project"]["dependencies"]}
    extras = PYPROJECT["project"]["optional-dependencies"]
    server = {normal(item) for item in extras["server"] + extras["cli"]} - {"agent-ledger"}
    assert base <= pins("client.txt").keys()
    assert not server & pins("client.txt").keys()
    assert base | server <= pins("runtime.txt").keys()


def test_what_the_adapters_are_tested_with_is_the_base_install():
    source = (FOLDER / "frameworks" / "_client.in").read_text(encoding="utf-8").splitlines()
    assert {normal(line) for line in PYPROJECT["project"]["dependencies"]} == {
        normal(line) for line in source if line and line[0] != "#"
    } - {"pytest", "pytest-timeout"}


def test_the_test_set_holds_every_tool_of_the_test_group():
    tools = {normal(item) for item in PYPROJECT["dependency-groups"]["test"] if isinstance(item, str)}
    assert tools <= pins("test.txt").keys()
    assert {normal(item) for item in PYPROJECT["dependency-groups"]["demo"]} <= pins("demo.txt").keys()


def test_every_framework_has_its_environment_and_its_tests():
    environments = {path.stem for path in (FOLDER / "frameworks").glob("[a-z]*.in")}
    assert environments == {path.stem for path in (FOLDER / "frameworks").glob("*.txt")}
    tests = {path.parent.name for path in (ROOT / "tests" / "frameworks").glob("*/test_*.py")}
    assert environments == tests
