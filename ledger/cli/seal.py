"""`agent-ledger seal` and `segments`: what is sealed, of a running ledger or of a stopped one's folder."""

from typing import Any

from ledger.cli import terminal
from ledger.cli.objects import fetching_named
from ledger.cli.target import Data, Json, TokenFile, Url, connect, data_folder, serving_url

SEAL_TIMEOUT_S = 3600.0


def seal(
    *,
    data: Data = None,
    url: Url = None,
    token_file: TokenFile = None,
    as_json: Json = False,
) -> None:
    """Seal everything that is written so far into segments that never change.

    A ledger seals by itself, each time a hot file is full: this is for before a backup, or to have erased contents gone at once.
    """
    folder = data_folder(data)
    with terminal.progress("entries") as bar:
        bar.add_task("sealing", total=None)
        if url is not None or serving_url(folder):
            with connect(data, url, token_file) as client:
                sealed = client.ask("POST", "/v1/seal", timeout_s=SEAL_TIMEOUT_S)["sealed"]
        else:
            from ledger.log.log import Log  # noqa: PLC0415 - a remote ledger is sealed without a database here

            with fetching_named(folder) as fetch:
                log = Log.open(folder, fetch=fetch)
                try:
                    sealed = log.seal()
                finally:
                    log.close()
    terminal.print_facts("sealed", {"entries": sealed}, as_json=as_json)


def segments(
    *,
    data: Data = None,
    url: Url = None,
    token_file: TokenFile = None,
    as_json: Json = False,
) -> None:
    """List the sealed segments, with what each takes on the disk and what of it was retired."""
    with connect(data, url, token_file) as client:
        answer = client.ask("GET", "/v1/segments")
    if terminal.wants_json(as_json):
        terminal.print_json(answer)
        return
    terminal.print_table(
        ["entries", "to", "MiB", "bytes an entry", "generation", "retired entries", "contents", "root"],
        [_row(segment) for segment in answer["segments"]],
    )
    terminal.say(f"{answer['sealed']} entries are sealed; {answer['waiting']} full files wait for it")
    if answer["failed"]:
        terminal.say(f"the last attempt to seal failed, and is made again: {answer['failed']}")


def _row(segment: dict[str, Any]) -> tuple[Any, ...]:
    start, end, size = segment["start"], segment["end"], segment["bytes"]
    retired = segment["retired"]
    return (
        start,
        end - 1,
        f"{size / 2**20:.1f}",
        f"{size / (end - start):.0f}",
        segment["generation"],
        retired["entries"],
        retired["contents"],
        segment["root"][:16],
    )
