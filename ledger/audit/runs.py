"""The runs of the id index: derived from the segments' keys, made anew where one is damaged; compared with the keys all the same."""

from pathlib import Path

import numpy as np

from ledger.audit.leftovers import is_run_leftover
from ledger.audit.manifests import Segments
from ledger.core.report import Findings, Kind
from ledger.storage.checking import KEY_BYTES
from ledger.storage.layout import IDS
from ledger.storage.manifest import KEYS
from ledger.storage.runs import RunDamaged, open_run

ANEW = "it is derived, and made anew at the next start where it is removed"


def check_runs(data: Path, segments: Segments, findings: Findings) -> None:
    """Report runs that are not made of the segments' keys. They put no entry in doubt: a wrong one can have hidden that an id was taken."""
    folder = data / IDS
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        where = f"{IDS}/{path.name}"
        if is_run_leftover(path):
            segments.leftovers.append(where)
            continue
        try:
            run = open_run(path)
        except RunDamaged as error:
            findings.add(Kind.ALTERED, where, f"{error}; {ANEW}")
            continue
        keys = _keys(segments, run.start, run.end)
        places = np.asarray(run.places)
        if (
            keys is None
            or not bool(np.all(places < len(keys)))
            or not np.array_equal(keys[places], run.keys)
            or len(np.unique(places)) != len(keys)
            or not bool(np.all(run.keys[1:] >= run.keys[:-1]))
        ):
            findings.add(
                Kind.ALTERED,
                where,
                f"it is not made of the keys of entries {run.start} to {run.end - 1}; {ANEW}",
            )


def _keys(segments: Segments, start: int, end: int) -> np.ndarray | None:
    """The keys of the entries [start, end); None where the segments do not have them."""
    parts, at = [], start
    for found in segments.found:
        manifest = found.manifest
        if manifest.start <= at < min(end, manifest.end):
            try:
                data = (found.folder / manifest.file(KEYS)).read_bytes()
            except OSError:
                return None
            stop = min(end, manifest.end)
            part = data[(at - manifest.start) * KEY_BYTES : (stop - manifest.start) * KEY_BYTES]
            if len(part) != (stop - at) * KEY_BYTES:
                return None
            parts.append(np.frombuffer(part, "<u8"))
            at = stop
    return np.concatenate(parts) if at == end and parts else None
