"""The Dockerfile, without an engine: its steps run by hand in folders of their own, its command as a real server.

What this cannot show: that the base image exists, and that the layers are what the steps made.
"""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.project.tree import ROOT, command, free_port

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


def environment() -> dict[str, str]:
    """The image's own settings."""
    return dict(setting.split("=", 1) for setting in only("ENV").split())


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
    volumes = {Path(volume) for volume in json.loads(only("VOLUME"))}
    settings = environment()
    head = Path(settings["AGENT_LEDGER_HEAD_ANCHOR"])
    assert Path(settings["AGENT_LEDGER_DATA"]) in volumes
    assert set(head.parents) & (volumes - {Path(settings["AGENT_LEDGER_DATA"])})


# A root without write access, but for the volumes: the mounts that an engine makes for `--read-only`.
READ_ONLY = """
root=$1; shift
mount --rbind / "$root"
mount -o remount,bind,ro "$root"
for volume in $VOLUMES; do mount --bind "$volume" "$root$volume"; done
exec chroot "$root" "$@"
"""


def read_only(tmp_path: Path) -> list[str]:
    """What a command is prefixed with, so that it can write to nothing but the folders in $VOLUMES."""
    (tmp_path / "root").mkdir()
    return [
        "unshare",
        "--user",
        "--map-root-user",
        "--mount",
        "sh",
        "-euc",
        READ_ONLY,
        "-",
        str(tmp_path / "root"),
    ]


def test_the_images_command_serves_from_a_read_only_root_and_its_health_check_tells_life_from_death(tmp_path):
    volumes = {volume: tmp_path / volume.strip("/") for volume in json.loads(only("VOLUME"))}
    for folder in volumes.values():
        folder.mkdir(mode=0o700)
    settings = {
        name: re.sub(r"^/\w+", lambda at: str(volumes.get(at[0], at[0])), value)
        for name, value in environment().items()
    }
    settings |= {
        "PATH": os.environ["PATH"],
        "HOME": "/nonexistent",
        "VOLUMES": " ".join(map(str, volumes.values())),
    }
    confined = read_only(tmp_path)
    probe = [*confined, "sh", "-c", f"touch {tmp_path}/data/probe; ! touch {tmp_path}/probe"]
    if subprocess.run(probe, env=settings, check=False, capture_output=True, timeout=20).returncode:
        pytest.skip("this machine lets nobody make mounts of their own")
    port = free_port()
    arguments = ["127.0.0.1" if argument == "0.0.0.0" else argument for argument in json.loads(only("CMD"))]  # noqa: S104
    health = only("HEALTHCHECK").split("CMD", 1)[1].replace(":8731", f":{port}")
    server = subprocess.Popen([*confined, *command(*arguments), "--port", str(port)], cwd="/", env=settings)
    try:
        deadline_s = time.monotonic() + 30
        while not healthy(health) and server.poll() is None and time.monotonic() < deadline_s:
            time.sleep(0.2)
        assert healthy(health)
        subprocess.run([*confined, *command("verify")], cwd="/", env=settings, check=True, timeout=60)
    finally:
        server.send_signal(signal.SIGTERM)
        code = server.wait(timeout=20)
    assert code in {0, -signal.SIGTERM}
    assert Path(settings["AGENT_LEDGER_HEAD_ANCHOR"]).is_file()
    assert not healthy(health)


def healthy(check: str) -> bool:
    arguments = [sys.executable if part == "python" else part for part in json.loads(check)]
    return subprocess.run(arguments, check=False, capture_output=True, timeout=10).returncode == 0


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
    data = tmp_path / "data"
    for arguments in (["init", "--origin", "image.example/log"], ["verify", str(data), "--no-remember"]):
        built = [target / "bin" / "agent-ledger", *arguments]
        subprocess.run(built, check=True, env={**environment, "AGENT_LEDGER_DATA": str(data)}, timeout=60)
    assert not (target / "bin" / "pip").exists()


def copy(source: Path, target: Path, *, into: bool) -> None:
    """COPY: a folder's contents, or a file, or files into a folder."""
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        return
    place = target / source.name if into else target
    place.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(source, place)
