"""What `python -m benchmarks` was asked for."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Options:
    """Attributes:
    quick: short rounds, which say that it runs and little else.
    minutes: of steady load.
    folder: where logs are made; must be on a disk, since a sync in memory costs nothing.
    installed: where peers are installed, and kept.
    cache: where logs of a given size are kept, to be measured again; None keeps none.
    largest: entries of the largest log.
    into: where plots go, and raw numbers.
    only: parts of names; peers, and loads beside analysts, without any of them are left out.
    """

    quick: bool = False
    minutes: float = 10.0
    folder: Path = Path("/var/tmp")  # noqa: S108 - unlike /tmp it is on a disk wherever there is one; every run makes its own folder in it
    installed: Path = Path(".venv-peers")
    cache: Path | None = None
    largest: int = 10_000_000
    into: Path = Path(".bench")
    only: tuple[str, ...] = ()
