"""What is built is complete: the wheel runs on its own, and the sdist builds the same wheel."""

import os
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from contextlib import suppress
from importlib.metadata import PackageNotFoundError
from importlib.metadata import requires as required
from pathlib import Path

import pytest

from tests.project.test_requirements import normal, pins
from tests.project.tree import PYPROJECT, ROOT, place, tracked

OUTSIDE = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


def run(*command: str | Path, cwd: Path) -> str:
    result = subprocess.run(
        command, cwd=cwd, env=OUTSIDE, capture_output=True, text=True, check=False, timeout=120
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def build(source: Path, target: Path, *kinds: str) -> None:
    run(
        sys.executable,
        "-m",
        "hatchling",
        "build",
        "--directory",
        target,
        *[f"--target={kind}" for kind in kinds],
        cwd=source,
    )


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    target = tmp_path_factory.mktemp("dist")
    build(ROOT, target, "wheel", "sdist")
    return target


@pytest.fixture(scope="module")
def wheel(built):
    return next(built.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """A virtual environment with the wheel, and the libraries of this one by a .pth line: nothing is fetched."""
    venv = tmp_path_factory.mktemp("venv")
    run(sys.executable, "-m", "venv", "--without-pip", venv, cwd=ROOT)
    python = venv / "bin" / "python"
    site = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=venv).strip())
    (site / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")
    install = ("install", "--quiet", "--no-deps", "--no-index", "--ignore-installed", "--no-build-isolation")
    run(sys.executable, "-m", "pip", "--python", python, *install, wheel, cwd=venv)
    return venv


def contents(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_the_wheel_holds_every_file_of_the_package_and_nothing_else(wheel):
    names = {name for name in contents(wheel) if ".dist-info/" not in name}
    package = {place(path) for path in tracked() if (ROOT / "ledger") in path.parents}
    data = {
        f"ledger/_data/{place(path)}"
        for path in tracked()
        if {ROOT / "schemas", ROOT / "queries"} & set(path.parents)
    }
    made = {place(path) for path in (ROOT / "ledger" / "console" / "static").glob("*")}
    assert "ledger/py.typed" in names
    assert names == package | data | made


def test_the_installed_package_is_not_the_checkout(installed):
    found = Path(
        run(
            installed / "bin" / "python", "-c", "import ledger; print(ledger.__file__)", cwd=installed
        ).strip()
    )
    assert installed in found.parents


def test_schemas_and_queries_reach_the_installed_package(installed):
    script = (
        "from ledger.records import resources\n"
        "print(resources.schema_path('x').parent)\n"
        "print(*[path.name for path in resources.query_files()])\n"
        "print(resources.schema_text('tables.sql'), end='')\n"
    )
    folder, queries, tables = run(installed / "bin" / "python", "-c", script, cwd=installed).split("\n", 2)
    assert installed in Path(folder).parents
    assert queries.split() == sorted(path.name for path in (ROOT / "queries").glob("*.sql")) != []
    assert tables == (ROOT / "schemas" / "tables.sql").read_text(encoding="utf-8")


def test_the_installed_command_makes_a_log_and_verifies_it(installed, tmp_path):
    command = installed / "bin" / "agent-ledger"
    assert "verify" in run(command, "--help", cwd=tmp_path)
    data = tmp_path / "data"
    run(command, "init", "--data", data, "--origin", "packaging.example/log", cwd=tmp_path)
    run(command, "verify", data, "--no-remember", cwd=tmp_path)


# Imports nothing but the standard library, the project, and what the named distributions bring.
ALONE = """
import importlib.metadata, re, sys
allowed = set(sys.argv.pop(1).split(","))
packages = importlib.metadata.packages_distributions()
class Alone:
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        owners = {re.sub(r"[-_.]+", "-", owner).lower() for owner in packages.get(top, ())}
        if owners and not owners & allowed:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Alone())
"""


def alone(
    installed: Path, distributions: set[str], script: str, *arguments: str | Path
) -> subprocess.CompletedProcess[str]:
    """Run a script in an environment that has these distributions and no others."""
    names = ",".join(distributions | {"agent-ledger"})
    command = [installed / "bin" / "python", "-c", ALONE + script, names, *arguments]
    return subprocess.run(
        command, cwd=installed, env=OUTSIDE, capture_output=True, text=True, check=False, timeout=120
    )


def needed(*distributions: str) -> set[str]:
    """These distributions and all that they need."""
    found: set[str] = set()
    left = list(distributions)
    while left:
        if (name := left.pop()) not in found:
            found.add(name)
            with suppress(PackageNotFoundError):  # for another platform
                left += [normal(line) for line in required(name) or () if "extra ==" not in line]
    return found


COMMAND = "from ledger.cli.entry import main\nmain()\n"


def test_the_base_install_is_enough_for_every_module_of_the_sdk(installed):
    modules = sorted(path.stem for path in (ROOT / "ledger" / "client").glob("[a-z]*.py"))
    script = f"import importlib\nfor name in {modules}: importlib.import_module('ledger.client.' + name)\n"
    result = alone(installed, set(pins("client.txt")), script + "import httpx, nacl\n")
    assert result.returncode == 0, result.stderr
    assert {"ledger", "sender", "spool", "seal", "witness", "context"} <= set(modules)


def test_a_command_whose_packages_are_not_installed_says_which_install_has_them(installed, tmp_path):
    base = set(pins("client.txt"))
    result = alone(installed, base, COMMAND, "--help")
    assert (result.returncode, result.stderr.count("\n")) == (2, 1)
    assert "pip install '.[cli]'" in result.stderr
    with_cli = base | needed(*map(normal, PYPROJECT["project"]["optional-dependencies"]["cli"]))
    elsewhere = ("post", "verify", "gateway", "token", "keys")
    for command in (["--help"], *([name, "--help"] for name in elsewhere)):
        result = alone(installed, with_cli, COMMAND, *command)
        assert result.returncode == 0, result.stderr
    result = alone(
        installed, with_cli, COMMAND, "init", "--data", tmp_path / "data", "--origin", "a.example/b"
    )
    assert (result.returncode, result.stderr.count("\n")) == (2, 1)
    assert "pip install '.[server]'" in result.stderr


def test_the_sdist_builds_the_same_wheel(built, wheel, tmp_path):
    with tarfile.open(next(built.glob("*.tar.gz"))) as archive:
        archive.extractall(tmp_path, filter="data")
    source = next(tmp_path.iterdir())
    build(source, tmp_path / "again", "wheel")
    assert contents(next((tmp_path / "again").glob("*.whl"))) == contents(wheel)


def test_the_sdist_holds_what_tests_and_readers_need(built):
    with tarfile.open(next(built.glob("*.tar.gz"))) as archive:
        names = {name.split("/", 1)[1] for name in archive.getnames()}
    left_out = {place(path) for path in tracked()} - names
    assert {name for name in left_out if not name.startswith(".ci/")} == set()
