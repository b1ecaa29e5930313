"""Takes a CycloneDX document on stdin and writes it to the file that is named, without what is said of each package twice (its line of the list) and the tools' web addresses.

Whose tools it was, and which version, stays. `make sbom` calls it.
"""

import json
import sys
from pathlib import Path

bom = json.load(sys.stdin)
for tool in bom["metadata"]["tools"]["components"]:
    tool.pop("externalReferences", None)
for component in bom["components"]:
    component.pop("description", None)
    for reference in component["externalReferences"]:
        reference.pop("comment", None)
Path(sys.argv[1]).write_text(json.dumps(bom, indent=1, sort_keys=True) + "\n", encoding="utf-8")
