"""python -m benchmarks [part …] [--quick]: prints Markdown; that, raw numbers and plots go to `--into`, with what they were measured on."""

import argparse
import io
import json
import sys
from contextlib import redirect_stdout
from importlib import import_module
from pathlib import Path
from typing import TextIO

from benchmarks.machine import machine
from benchmarks.options import Options

PARTS = (
    "ingest",
    "dialects",
    "single",
    "verify",
    "where",
    "sdk",
    "gateway",
    "ids",
    "peers",
    "offered",
    "steady",
    "sizes",
    "questions",
    "analysts",
    "signers",
    "prove",
    "waits",
)
DEFAULTS = Options()


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], metavar="part", help=", ".join(PARTS))
    parser.add_argument("--quick", action="store_true", help="short rounds: whether it runs")
    parser.add_argument("--minutes", type=float, default=DEFAULTS.minutes, help="of steady load")
    parser.add_argument("--folder", type=Path, default=DEFAULTS.folder, help="where logs are made, on a disk")
    parser.add_argument(
        "--installed", type=Path, default=DEFAULTS.installed, help="where peers are installed"
    )
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        help="peers, or loads beside analysts, whose names have this in them",
    )
    parser.add_argument("--cache", type=Path, help="where logs of a given size are kept, for the next run")
    parser.add_argument("--largest", type=int, default=DEFAULTS.largest, help="entries of the largest log")
    parser.add_argument("--into", type=Path, default=DEFAULTS.into, help="where raw numbers and plots go")
    given = parser.parse_args()
    options = Options(
        quick=given.quick,
        minutes=given.minutes,
        folder=given.folder,
        installed=given.installed.resolve(),
        cache=given.cache,
        largest=given.largest,
        into=given.into,
        only=tuple(given.only),
    )
    options.into.mkdir(parents=True, exist_ok=True)
    for name in given.parts or PARTS:
        on = machine(options.folder)
        told = Told(sys.stdout)
        with redirect_stdout(told):
            raw = import_module("benchmarks.peers.run" if name == "peers" else f"benchmarks.{name}").run(
                options
            )
        kept = json.dumps(
            {"part": name, "quick": options.quick, "machine": on, "raw": raw}, separators=(",", ":")
        )
        (options.into / f"{name}.json").write_text(kept + "\n")
        (options.into / f"{name}.md").write_text(page(name, on, told.text, quick=options.quick))


class Told(io.TextIOBase):
    """What a part prints, shown as it comes and kept."""

    def __init__(self, shown: TextIO) -> None:
        self._shown, self.text = shown, ""

    def write(self, text: str) -> int:
        self.text += text
        self._shown.write(text)
        self._shown.flush()
        return len(text)


def page(name: str, on: dict[str, object], told: str, *, quick: bool) -> str:
    """The part's tables, with the command that made them and what on; a plot where it drew one."""
    command = f'make bench ARGS="{name}{" --quick" if quick else ""}"'
    where = ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in on.items())
    return f"# `{command}`\n\nOn: {where}. Raw numbers: [{name}.json]({name}.json).\n{told}"


if __name__ == "__main__":
    main()
