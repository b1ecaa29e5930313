"""One target under atheris, in a process of its own: python -m tests.fuzz.one <target> <libFuzzer arguments and folders>."""

import sys
import warnings

import atheris

warnings.simplefilter("ignore")

with atheris.instrument_imports(include=["ledger"]):
    from tests.fuzz.target import judge
    from tests.fuzz.targets import load

    TARGET = load(sys.argv[1])


def main() -> None:
    """Fuzz until libFuzzer ends the process."""
    atheris.Setup([sys.argv[0], *sys.argv[2:]], lambda data: judge(TARGET, data) and None)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
