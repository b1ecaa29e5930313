"""What tlog-scales makes of a log's files, in an environment of its own: `scales.py URL-or-folder OLD-SIZE OLD-ROOT VKEY…`.

It prints the checkpoint's size. Every signature of the keys, the root made anew from the tiles, each entry's inclusion and the tree's consistency with the
old one must hold, or it ends with a traceback.
"""

import sys

from tlog_scales import backend, tiles
from tlog_scales.reader import TilesReader
from tlog_scales.signing import Vkey


def main() -> None:
    location, old_size, old_root, *vkeys = sys.argv[1:]
    reader = TilesReader(backend.make_backend(location))
    checkpoint = reader.get_checkpoint()
    for vkey in vkeys:
        checkpoint.verify(Vkey.from_string(vkey))
    if reader.calculate_root_hash() != checkpoint.root_hash:
        raise SystemExit("the tiles make another root")
    for index in range(checkpoint.size):
        proof = reader.get_inclusion_proof(index, checkpoint.size)
        proof.check(tiles.leaf_hash(reader.get_entry(index)), checkpoint.root_hash)
    consistent = reader.get_consistency_proof(int(old_size), checkpoint.size)
    consistent.check(bytes.fromhex(old_root), checkpoint.root_hash)
    sys.stdout.write(f"{checkpoint.size}\n")


main()
