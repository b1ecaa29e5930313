"""The ledger, OpenSSL, the page in a browser, Go and x/mod's notes judge every published signature alike: make test-interop. Threat 19.

What each says by itself is printed where it differs. All that differs is signed under a key that the ledger lets nobody register: a verifier that is laxer
about such keys never meets one, so what comes out of registration and verification together is the same everywhere.
"""

import json

import pytest

from tests.evidence.browser import Verifier, chromium
from tests.evidence.signatures import (
    by_openssl,
    by_the_ledger,
    by_the_page,
    disagreements,
    may_be_registered,
    own_cases,
    published_cases,
    table,
    vkey_of,
)

pytestmark = pytest.mark.interop


@pytest.fixture(scope="module")
def by_go(run):
    """What Go and x/mod say of all cases."""

    def judge(cases):
        asked = json.dumps([case.as_json() | {"vkey": vkey_of(case)} for case in cases])
        said = run("ed25519", input=asked)
        assert said.returncode == 0, said.stderr
        return json.loads(said.stdout)

    return judge


def test_all_verifiers_agree_on_every_signature_under_a_key_that_may_be_registered(shared, by_go):
    cases = published_cases(shared / "vectors") + own_cases()
    go = by_go(cases)
    with chromium() as browser:
        page = by_the_page(Verifier(browser).page, cases)
    alone = {
        "ledger": [by_the_ledger(case) for case in cases],
        "page": page,
        "openssl": [by_openssl(case) for case in cases],
        "go": [each["go"] for each in go],
        "x/mod note": [each["note"] for each in go],
    }
    registered = [may_be_registered(case) for case in cases]
    print(f"\nby itself, {len(cases)} cases:\n{table(disagreements(cases, alone))}")  # noqa: T201
    together = {
        name: [held and may for held, may in zip(found, registered, strict=True)]
        for name, found in alone.items()
    }
    rows = disagreements(cases, together)
    print(f"with registration:\n{table(rows)}")  # noqa: T201
    assert rows == []
    assert disagreements(cases, {name: alone[name] for name in ("ledger", "page")}) == []
