"""`agent-ledger compact`."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ledger.cli import terminal
from ledger.cli.exits import CommandError, Exit
from ledger.cli.objects import CACHE_MIB, MovedTo, ObjectsCacheMib, ObjectsEndpoint, offload_of
from ledger.cli.target import Data, HeadAnchor, Json, TokenFile, Url, connect, data_folder, serving_url

if TYPE_CHECKING:
    from ledger.upkeep.offload import Offload

POLL_S = 0.5
MIB = 2**20


def compact(
    *,
    data: Data = None,
    url: Url = None,
    token_file: TokenFile = None,
    head_anchor: HeadAnchor = None,
    objects: MovedTo = None,
    objects_endpoint: ObjectsEndpoint = None,
    objects_cache_mib: ObjectsCacheMib = CACHE_MIB,
    as_json: Json = False,
) -> None:
    """Take off the disk what the log says is gone: erased contents and persons, retired contents and entries.

    Nobody reads them any more before; this is when their bytes go. Works on a running ledger, and on the folder of a stopped one.
    """
    if url is not None or serving_url(data_folder(data)) is not None:
        with connect(data, url, token_file) as client, terminal.progress("") as bar:
            bar.add_task("compacting", total=None)
            answer = client.ask("POST", "/v1/compact")
            while answer["running"]:
                time.sleep(POLL_S)
                answer = client.ask("GET", "/v1/compact")
        if answer["failed"]:
            raise CommandError(
                f"{answer['failed']}; what was not done is done by the next compact", Exit.UNREACHABLE
            )
        result = answer["result"]
    else:
        folder = data_folder(data)
        offload = (
            offload_of(folder, objects, endpoint=objects_endpoint, cache_mib=objects_cache_mib)
            if objects
            else None
        )
        result = _stopped(folder, head_anchor, offload)
    _print(result, as_json=as_json)


def _stopped(folder: Path, head_anchor: HeadAnchor, offload: "Offload | None") -> dict[str, Any]:
    from ledger.api.compaction import told  # noqa: PLC0415 - a remote ledger is compacted without a database here
    from ledger.log.log import Log  # noqa: PLC0415
    from ledger.upkeep.compact import compact as compact_log  # noqa: PLC0415
    from ledger.upkeep.erasing import tell_done  # noqa: PLC0415

    log = Log.open(folder, anchor=head_anchor, fetch=offload.fetch if offload else None)
    try:
        erasures = log.keeping.erasing
        result = compact_log(log, offload=offload)
        tell_done(log, erasures, result)
        return told(result)
    finally:
        log.close()


def _print(result: dict[str, Any], *, as_json: bool) -> None:
    if terminal.wants_json(as_json):
        terminal.print_json(result)
    else:
        rows = [
            (
                f"{s['start']} to {s['end'] - 1}",
                s["generation"],
                s["retired"]["entries"],
                s["retired"]["contents"],
            )
            for s in result["segments"]
        ]
        terminal.print_table(["segment", "generation", "entries gone", "contents gone"], rows)
    freed = f"{result['freed_bytes'] / MIB:.1f} MiB are free"
    terminal.say(
        f"{len(result['segments'])} segments were made anew, {result['persons']} persons deleted, {freed}"
    )
    for kept in result["kept_under_lock"]:
        terminal.say(f"the object store keeps {kept['key']} until {kept['until'] or 'its lock ends'}")
    if result["objects"]:
        terminal.say(f"the object store is not up to date: {result['objects']}")
