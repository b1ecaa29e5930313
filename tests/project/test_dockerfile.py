"""The Dockerfile, without an engine: its steps run by hand in folders of their own, its command as a real server.

What this cannot show: that the base image exists, and that the layers are what the steps made.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.project.tree import ROOT

Step = tuple[str, str]


def steps() -> list[Step]:
    """(instruction, arguments) of every step, comments left out and continued lines joined."""
    text = re.sub(r"^#.*\n", "", (ROOT / "Dockerfile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    lines = re.sub(r"\\\n", " ", text).split("\n")
    return [(line.split()[0], line.split(maxsplit=1)[1]) for line in lines if line.strip()]


def stage(number: int) -> list[Step]:
    """The steps of one stage; the last one is the image."""
    stages: list[list[Step]] = []
    for step in steps():
        if step[0] == "FROM":
            stages.append([])
        stages[-1].append(step)
    return stages[number]


def only(name: str) -> str:
    (value,) = [arguments for step, arguments in stage(-1) if step == name]
    return value


def test_nothing_runs_through_a_shell_and_nobody_is_root():
    for name in ("ENTRYPOINT", "CMD"):
        assert isinstance(json.loads(only(name)), list)
    assert isinstance(json.loads(only("HEALTHCHECK").split("CMD", 1)[1]), list)
    assert int(only("USER")) > 0


def test_every_base_is_pinned_by_a_tag_with_a_version():
    assert all(
        re.match(r"\S+:\d+\.\d+\S*( AS \w+)?$", arguments) for name, arguments in steps() if name == "FROM"
    )


def test_what_is_copied_exists_and_is_not_ignored():
    allowed = {
        line[1:]
        for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").split("\n")
        if line.startswith("!")
    }
    copied = [source for name, arguments in stage(0) if name == "COPY" for source in arguments.split()[:-1]]
    assert "ledger" in copied
    for source in copied:
        assert (ROOT / source).exists(), f"COPY {source}"
        assert source.split("/")[0] in allowed, f".dockerignore hides {source}"


def test_the_anchor_lies_on_another_volume_than_the_data():
    arguments = json.loads(only("CMD"))
    data, head = (Path(arguments[arguments.index(flag) + 1]) for flag in ("--data", "--head-anchor"))
    volumes = {Path(volume) for volume in json.loads(only("VOLUME"))}
    assert data in volumes
    assert {head, *head.parents} & (volumes - {data})


@pytest.mark.soak
def test_the_build_steps_run_by_hand_leave_a_working_command(tmp_path):
    """Every step of the first stage, word for word but for its paths. Fetches the runtime's packages."""
    base = tmp_path / "base"
    subprocess.run([sys.executable, "-m", "venv", base], check=True)
    build, target = tmp_path / "build", tmp_path / "opt"
    build.mkdir()
    environment = {**os.environ, "PATH": f"{base / 'bin'}:{os.environ['PATH']}"}
    environment.pop("PYTHONPATH", None)
    for name, arguments in stage(0):
        if name == "RUN":
            script = arguments.replace("/opt/agent-ledger", str(target))
            subprocess.run(["/bin/sh", "-ec", script], cwd=build, env=environment, check=True, timeout=300)
        if name == "COPY":
            *sources, place = shlex.split(arguments)
            for source in sources:
                copy(ROOT / source, build / place, into=len(sources) > 1 or place.endswith("/"))
    shown = subprocess.run(
        [target / "bin" / "agent-ledger", "--help"], check=True, capture_output=True, text=True
    )
    assert "serve" in shown.stdout
    assert not (target / "bin" / "pip").exists()


def copy(source: Path, target: Path, *, into: bool) -> None:
    """COPY: a folder's contents, or a file, or files into a folder."""
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        return
    place = target / source.name if into else target
    place.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(source, place)
