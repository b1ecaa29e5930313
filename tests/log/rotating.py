"""Where a rotation of the log's key may die: docs/adr/0029 has this table."""

import shutil
from pathlib import Path

import pytest

from ledger.core.note import VerifierKey
from ledger.log import log as module
from ledger.log import rotation
from ledger.log.log import Log
from ledger.log.store import Store
from ledger.storage.anchor import HeadAnchor

STEPS = {
    "before the next key is made": "old",
    "the next key is made": "old",
    "the entry is committed": "new",
    "the anchor has it": "new",
    "the key is in its place": "new",
}


def cut_at_each_step(
    log: Log, data: Path, into: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, VerifierKey]:
    """Rotate, and copy what a power cut would leave at each step: the folder that `data` and its anchor are in, as `into`/<step>. Returns both keys."""

    def cut(step: str) -> None:
        shutil.copytree(data.parent, into / step)

    def stepping(patching: pytest.MonkeyPatch, owner: object, name: str, step: str) -> None:
        whole = getattr(owner, name)

        def does(*args: object, **kwargs: object) -> object:
            result = whole(*args, **kwargs)
            cut(step)
            return result

        patching.setattr(owner, name, does)

    old = log.keys.current
    cut("before the next key is made")
    with monkeypatch.context() as patching:
        stepping(patching, rotation, "place_key", "the next key is made")
        stepping(patching, Store, "append", "the entry is committed")
        stepping(patching, HeadAnchor, "advance", "the anchor has it")
        stepping(patching, module, "take_place", "the key is in its place")
        log.rotate_key(by="token:admin")
    return {"old": old, "new": log.keys.current}
