"""Every published signature is judged alike by the command and by the page in a browser, and by OpenSSL where the key may be anybody's. Threat 19.

Go is asked too where it is at hand: tests/interop/test_ed25519.py.
"""

import pytest

from ledger.core.errors import LedgerError
from ledger.core.note import parse_vkey
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


@pytest.fixture(scope="module")
def page():
    with chromium() as browser:
        opened = Verifier(browser)
        yield opened.page
        assert opened.errors == []
        opened.close()


def judged(cases, page):
    return {"ledger": [by_the_ledger(case) for case in cases], "page": by_the_page(page, cases)}


def test_the_command_and_the_page_agree_on_every_published_signature(shared, page):
    cases = published_cases(shared / "vectors")
    assert len(cases) > 100
    assert {case.holds for case in cases} == {True, False}
    rows = disagreements(cases, judged(cases, page))
    assert rows == [], table(rows)


def test_and_on_keys_of_mixed_order_under_which_others_find_signatures_that_hold(page):
    cases = own_cases()
    rows = disagreements(cases, judged(cases, page))
    assert rows == [], table(rows)
    assert [by_openssl(case) for case in cases if "mixed" in case.name].count(True) in range(1, 8)


def test_what_openssl_judges_otherwise_is_signed_under_keys_that_nobody_may_register(shared):
    cases = own_cases() + published_cases(shared / "vectors")
    rows = disagreements(cases, {"openssl": [by_openssl(case) for case in cases]})
    by_name = {case.name: case for case in cases}
    assert [name for name, _ in rows if may_be_registered(by_name[name])] == [], table(rows)
    assert rows  # such keys are why the ledger asks


def test_no_such_key_names_a_log_for_the_command_or_for_the_page(shared, page):
    cases = own_cases() + published_cases(shared / "vectors")
    for case in cases:
        usable = may_be_registered(case)
        said = page.evaluate(
            "key => parseKey(key).then(() => true, error => error instanceof Refused ? false : String(error))",
            vkey_of(case),
        )
        assert said is usable, case.name
        if usable:
            assert parse_vkey(vkey_of(case)).public == case.public
        else:
            with pytest.raises(LedgerError):
                parse_vkey(vkey_of(case))
