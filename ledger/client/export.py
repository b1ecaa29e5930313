"""Copies a log into a folder of static files that verifies offline, with this program or any other that reads C2SP tlog-tiles.

checkpoint                    the signed note: written last, so a folder that has one is complete
tile/entries/<n>[.p/<w>]      entries
tile/<level>/<n>[.p/<w>]      hashes
witnessed/checkpoint          the newest one that the log's witnesses cosigned, where there is one
log.json                      origin and first verifier key; a key you have from elsewhere is worth more
keys.json                     the proof of the log's keys (ledger.core.keyhistory), where the source has one
"""

import json
import os
from collections.abc import Callable
from pathlib import Path

from ledger.client.sources import CHECKPOINT, KEYS_FILE, LOG_FILE, WITNESSED, Source
from ledger.core.checkpoint import Checkpoint, parse_checkpoint
from ledger.core.entry import FORMAT_VERSION
from ledger.core.errors import Code, LedgerError
from ledger.core.keyhistory import KeyHistory, parse_history
from ledger.core.note import VerifierKey, format_vkey, parse_note
from ledger.core.tiles import TILE_WIDTH, bundles_for, tile_path, tiles_for

Progress = Callable[[int, int], None]


def export_log(
    source: Source, folder: Path, progress: Progress | None = None, *, vkey: VerifierKey | None = None
) -> Checkpoint:
    """Copy a log. A folder that holds an earlier export of it is brought up to date: full tiles never change.

    Nothing but the checkpoint's signature is verified here: verify the folder, which is what it is for.

    Args:
        source: where to read.
        folder: where to write; made when it is not there.
        progress: told files done and in all.
        vkey: any verifier key of the log as you know it; else the source's own word.

    Raises:
        LedgerError: the source lacks something; its checkpoint is not signed by its key; or the folder holds another log, or more of
            this one.
        OSError: a file cannot be written.
        UnreachableError, ProblemError: of a running ledger.
    """
    cosigned = source.cosigned()  # before the checkpoint, which is then no smaller
    note = source.checkpoint()
    key = vkey or source.verifier_key()
    if key is None:
        raise LedgerError(Code.NOT_FOUND, "the source does not say its verifier key: give it")
    proof = source.key_proof()  # after the checkpoint, which is then signed by a key in it
    keys = KeyHistory.begin(key) if proof is None else parse_history(proof, key)
    head = keys.open(note, own=True)
    _refuse_other(folder, head)
    tiles = [*bundles_for(head.size), *tiles_for(head.size)]
    for done, tile in enumerate(tiles, 1):
        path = folder / tile_path(*tile)
        if tile.width < TILE_WIDTH or not path.exists():
            data = source.tile(tile_path(*tile))
            if data is None:
                raise LedgerError(
                    Code.NOT_FOUND, f"the source has no {tile_path(*tile)}; nothing was finished"
                )
            _write(path, data)
        if progress is not None:
            progress(done, len(tiles))
    about = {"format": FORMAT_VERSION, "origin": head.origin, "verifier_key": format_vkey(keys.first)}
    _write(folder / LOG_FILE, json.dumps(about, indent=2).encode() + b"\n")
    if proof is not None:
        _write(folder / KEYS_FILE, proof)
    if cosigned is not None:
        _write(folder / WITNESSED, cosigned)
    _write(folder / CHECKPOINT, note)
    return head


def _refuse_other(folder: Path, head: Checkpoint) -> None:
    try:
        there = parse_checkpoint(parse_note((folder / CHECKPOINT).read_bytes()).text)
    except FileNotFoundError:
        return
    except LedgerError as error:
        raise LedgerError(
            Code.LOG_EXISTS, f"{folder} holds something that is no export: {error.detail}"
        ) from None
    if there.origin != head.origin or there.size > head.size:
        raise LedgerError(
            Code.LOG_EXISTS,
            f"{folder} holds {there.origin} at size {there.size}, and the source is {head.origin} at size {head.size}: "
            "export into another folder",
        )


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.write_bytes(data)
    beside.replace(path)
