"""The bill of materials names what a server installs, all of it and nothing else."""

import json
import re

from tests.project.test_requirements import FOLDER, PIN, text

SBOM = json.loads((FOLDER / "runtime.cdx.json").read_text(encoding="utf-8"))


def test_it_is_cyclonedx_of_this_project_and_says_nothing_of_where_it_was_made():
    assert (SBOM["bomFormat"], SBOM["metadata"]["component"]["name"]) == ("CycloneDX", "agent-ledger")
    assert SBOM["specVersion"] >= "1.6"
    assert "timestamp" not in SBOM["metadata"]  # the same list is the same file


def test_every_pinned_package_is_there_with_its_version_and_hashes_and_no_other():
    pinned = {
        (match[1], match[2], frozenset(re.findall(r"sha256:([0-9a-f]{64})", match[3])))
        for match in PIN.finditer(text("runtime.txt"))
    }
    named = {
        (
            component["name"],
            component["version"],
            frozenset(
                found["content"]
                for reference in component["externalReferences"]
                for found in reference.get("hashes", ())
            ),
        )
        for component in SBOM["components"]
    }
    assert named == pinned
    assert {component["purl"] for component in SBOM["components"]} == {
        f"pkg:pypi/{name}@{version}" for name, version, _ in pinned
    }
