"""witness-log: a journal of salted leaves; `sync` where durability is wanted, here after each batch."""

import threading
from contextlib import contextmanager
from pathlib import Path

import witness_log

from benchmarks.peers.feeding import Facts, Lines, Plan, main


@contextmanager
def journal(folder: Path, plan: Plan, facts: Facts):  # noqa: ARG001
    """The payloads are kept too (a store that is off by default): the others hold what they were given."""
    log = witness_log.open(str(folder / "agent.jsonl"))
    log.enable_payload_store()
    alone = threading.Lock()

    def write(lines: Lines) -> None:
        with alone:
            for line in lines:
                log.append_result(line)
            log.sync()

    yield write
    log.close()


if __name__ == "__main__":
    main({"journal": journal})
