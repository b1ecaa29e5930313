"""`make` on a machine that has nothing yet, and on one that has too little."""

import re
import shutil
import subprocess

import pytest

from tests.project.tree import ROOT

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


def make(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["make", *arguments], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )


def test_make_alone_names_every_command():
    shown = make().stdout
    phony = re.search(r"^\.PHONY: (.+)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert phony is not None
    for command in phony[1].split():
        assert re.search(rf"^  make {command} +\w", shown, re.MULTILINE), (
            f"make help does not explain {command}"
        )


@pytest.mark.parametrize("command", ["demo", "test"])
def test_a_python_that_is_too_old_is_refused_by_name_before_anything_is_made(command, tmp_path):
    old = tmp_path / "python3"
    old.write_text('#!/bin/sh\ncase "$1" in --version) echo "Python 3.9.2";; *) exit 1;; esac\n')
    old.chmod(0o755)
    result = make(command, f"PYTHON={old}", f"VENV={tmp_path}/venv")
    assert result.returncode != 0
    assert "Python 3.9.2 is too old: Python 3.11 or newer is needed" in result.stdout
    assert not (tmp_path / "venv").exists()


def test_a_missing_python_is_named(tmp_path):
    result = make("demo", f"PYTHON={tmp_path}/no-python", f"VENV={tmp_path}/venv")
    assert result.returncode != 0
    assert f"{tmp_path}/no-python was not found" in result.stdout


def test_an_installed_environment_is_not_installed_again(tmp_path):
    venv = tmp_path / "venv"
    (venv / "bin").mkdir(parents=True)
    for name in ("bin/python", ".test", ".demo", ".lock"):
        (venv / name).touch()
    for requirements in (ROOT / "requirements" / "frameworks").glob("*.txt"):
        made = tmp_path / "venv-frameworks" / requirements.stem
        made.mkdir(parents=True)
        (made / ".installed").touch()
    planned = make("-n", "test", f"VENV={venv}").stdout
    tested = re.findall(r"--rootdir=. tests/(?:frameworks/)?(\S+)$", planned, re.MULTILINE)
    assert sorted(tested) == ["langchain", "pydantic-ai"]
    assert planned.count("-m pytest") == 1 + len(tested)
    assert " pip" not in planned
