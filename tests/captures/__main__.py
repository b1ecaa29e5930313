"""`make captures`: posts the captures of a folder into a ledger of its own, and prints what `actions` makes of them."""

import sys
import tempfile
from pathlib import Path

from tests.captures.ledger import ledger_of
from tests.captures.table import lines, markdown
from tests.captures.truth import TRUTH

FOLDER = Path(__file__).resolve().parent.parent.parent.parent / "shared" / "otlp"


def main(folder: Path) -> int:
    """Print the table; 1 unless every action and facet is there and nothing else is."""
    captures = [folder / name for name in sorted(TRUTH)]
    missing = [capture.name for capture in captures if not capture.is_dir()]
    if missing:
        sys.stderr.write(
            f"{folder} lacks the captures {', '.join(missing)}: name their folder, make captures ARGS=<folder>\n"
        )
        return 2
    with tempfile.TemporaryDirectory() as place, ledger_of(Path(place), captures) as ledger:
        table = lines(TRUTH, {name: ledger.actions(name) for name in TRUTH})
    sys.stdout.write(markdown(table))
    return int(any((each.found, each.beside, each.facets) != (each.expected, 0, each.held) for each in table))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER))
