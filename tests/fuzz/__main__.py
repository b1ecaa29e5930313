"""Fuzz the parsers: make fuzz ARGS="--seconds 60 note policy". Without names, all of them in turn.

Each target runs in a process of its own, from its seeds and the kept corpus. What it finds ends it, is written into `.fuzz/findings/` and printed with the command that
shows it again; the exit status is then 1. `--keep` puts the smallest set of inputs that reaches what was reached into `tests/fuzz/corpus/`.
"""

import argparse
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from tests.fuzz.inputs import keep, kept
from tests.fuzz.target import Target, judge
from tests.fuzz.targets import NAMES, load

FINDINGS = Path(".fuzz/findings")
TIMEOUT_S = 5  # for one input; the replay of the corpus is stricter
MEMORY_MB = 2_048
EXECUTED = re.compile(r"stat::number_of_executed_units:\s+(\d+)")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(NAMES))
    parser.add_argument("--seconds", type=int, default=60, help="for each target (default 60)")
    parser.add_argument("--keep", action="store_true", help="put what was reached into the corpus")
    parser.add_argument("--show", type=Path, help="run this input alone through the one target named")
    return parser.parse_args()


def main() -> int:
    given = arguments()
    unknown = [name for name in given.targets if name not in NAMES]
    if unknown:
        raise SystemExit(f"there is no target {', '.join(unknown)}; there are {', '.join(NAMES)}")
    targets = [load(name) for name in given.targets or NAMES]
    if given.show is not None:
        print("accepted" if judge(targets[0], given.show.read_bytes()) else "refused")  # noqa: T201
        return 0
    return max([fuzz(target, given.seconds, keeping=given.keep) for target in targets])


def fuzz(target: Target, seconds: int, *, keeping: bool) -> int:
    """Fuzz one target and say what came of it. Returns 1 where something was found."""
    FINDINGS.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        corpus, words = Path(folder, "corpus"), Path(folder, "words")
        corpus.mkdir()
        write(corpus, [*target.seeds(), *kept(target.name)])
        words.write_text("".join(f'"{escaped(piece)}"\n' for piece in target.pieces or (b"\0",)), "ascii")
        prefix = FINDINGS / f"{target.name}-"
        options = [f"-max_total_time={seconds}", f"-max_len={target.max_bytes}", f"-artifact_prefix={prefix}"]
        ended = run(
            target, *options, f"-timeout={TIMEOUT_S}", f"-dict={words}", "-print_final_stats=1", str(corpus)
        )
        executed = EXECUTED.search(ended.stderr)
        count = int(executed[1]) if executed else 0
        print(f"{target.name:20} {count:>10,} inputs in {seconds} s", flush=True)  # noqa: T201
        if ended.returncode:
            tell(target, f"exit status {ended.returncode}\n{ended.stderr}")
        if keeping:
            keep_smallest(target, corpus, Path(folder, "least"))
    return int(ended.returncode != 0)


def run(target: Target, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.fuzz.one", target.name, f"-rss_limit_mb={MEMORY_MB}", *options]
    return subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)


def tell(target: Target, words: str) -> None:
    """What was found, and how to see it again."""
    start = words.find("=== Uncaught Python exception")
    print(words[start if start >= 0 else -3_000 :][:3_000])  # noqa: T201
    for path in sorted(FINDINGS.glob(f"{target.name}-*"), key=lambda path: path.stat().st_mtime)[-1:]:
        print(f"again: python -m tests.fuzz --show {path} {target.name}", flush=True)  # noqa: T201


def keep_smallest(target: Target, corpus: Path, least: Path) -> None:
    """The smallest set that reaches as much, without what the seeds reach themselves."""
    least.mkdir()
    run(target, "-merge=1", str(least), str(corpus))
    found = sorted((path.read_bytes() for path in least.iterdir()), key=len)
    seeds = set(target.seeds())
    keep(target.name, [data for data in found if data not in seeds])


def write(folder: Path, inputs: Iterable[bytes]) -> None:
    for number, data in enumerate(inputs):
        (folder / f"{number:05d}").write_bytes(data)


def escaped(piece: bytes) -> str:
    return "".join(f"\\x{byte:02x}" for byte in piece)


if __name__ == "__main__":
    sys.exit(main())
