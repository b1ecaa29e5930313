"""What the page is made of, and the headers it comes with."""

import gzip
import re

import httpx
import pytest

from ledger.console import files
from ledger.console.files import FOR_EVER, PAGE, POLICY, is_page, read_files

SCRIPT_BYTES = 400 * 1000
FIRST_BYTES = 60 * 1000
BUILT = PAGE in {path.name for path in files.FOLDER.glob("*")}
needs_build = pytest.mark.skipif(not BUILT, reason="the console is not built: make console")


def test_a_console_that_is_not_built_says_what_builds_it(tmp_path):
    for folder in (tmp_path, tmp_path / "none"):
        (page,) = read_files(folder).values()
        assert b"make console" in page.body


def test_only_files_with_a_known_type_are_served_and_only_hashed_ones_are_kept_for_ever(tmp_path):
    for name in (
        PAGE,
        "console-ABCDEFGH.js",
        "console.js",
        "notes.txt",
        ".hidden",
        "console-ABCDEFGH.js.map",
    ):
        (tmp_path / name).write_text(name)
    found = read_files(tmp_path)
    assert sorted(found) == ["console-ABCDEFGH.js", "console.js", PAGE]
    assert {name: each.cached == FOR_EVER for name, each in found.items()} == {
        "console-ABCDEFGH.js": True,
        "console.js": False,
        PAGE: False,
    }
    assert all(gzip.decompress(each.zipped) == each.body == name.encode() for name, each in found.items())


def test_the_policy_lets_nothing_inline_nothing_evaluated_and_nothing_from_elsewhere():
    rules = dict(rule.strip().partition(" ")[::2] for rule in POLICY.split(";"))
    assert rules["default-src"] == rules["frame-ancestors"] == rules["base-uri"] == "'none'"
    assert {rules[name] for name in ("script-src", "style-src", "connect-src", "form-action")} == {"'self'"}
    assert rules["trusted-types"] == "'none'"
    assert not re.search("unsafe|\\*|http|blob", POLICY)


@pytest.mark.parametrize(
    ("path", "page"),
    [
        ("/console", True),
        ("/console/x.js", True),
        ("/console/session", False),
        ("/consolex", False),
        ("/v1/log", False),
    ],
)
def test_the_pages_policy_is_for_the_page_alone(path, page):
    assert is_page(path) is page


@needs_build
def test_all_script_together_is_small():
    sent = [len(each.zipped) for name, each in files.files().items() if name.endswith(".js")]
    assert 0 < sum(sent) <= SCRIPT_BYTES


@needs_build
def test_what_a_page_loads_before_it_is_opened_is_a_small_part_of_it():
    served = files.files()
    todo, loaded = re.findall(r'src="/console/([^"]+)"', served[PAGE].body.decode()), set()
    while todo:
        name = todo.pop()
        if name not in loaded:
            loaded.add(name)
            todo += re.findall(r'(?:from|import)\s*"\./([^"]+\.js)"', served[name].body.decode())
    assert 0 < sum(len(served[name].zipped) for name in loaded) <= FIRST_BYTES


@needs_build
def test_the_page_names_only_files_of_its_own(server):
    with server.page() as page:
        html = page.get("/console").text
        named = re.findall(r'(?:src|href)="([^"]+)"', html)
        assert len(named) == 3
        for address in named:
            if address != "data:,":
                assert address.startswith("/console/")
                answer = page.get(address)
                assert (answer.status_code, answer.headers["cache-control"]) == (200, FOR_EVER)
    assert "<script>" not in html
    assert "style=" not in html


def test_the_page_needs_no_token_and_comes_with_its_own_policy_once(server):
    answer = httpx.get(f"{server.url}/console", trust_env=False)
    assert answer.status_code == 200
    assert answer.headers.get_list("content-security-policy") == [POLICY]
    assert answer.headers["cache-control"] == "no-cache"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["cross-origin-opener-policy"] == "same-origin"
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"
    assert answer.headers["content-encoding"] == "gzip"
    plain = httpx.get(f"{server.url}/console", headers={"Accept-Encoding": "identity"}, trust_env=False)
    assert "content-encoding" not in plain.headers
    assert plain.text == answer.text


@pytest.mark.parametrize(
    "path",
    [
        "/console/../files.py",
        "/console/..%2ffiles.py",
        "/console/%2e%2e/files.py",
        "/console/....//files.py",
        "/console//etc/passwd",
        "/console/%2fetc%2fpasswd",
        "/console/index.html%00.js",
        "/console/static/index.html",
        "/console/files.py",
        "/console/",
        "/console/INDEX.HTML",
    ],
)
def test_no_path_leads_to_another_file(server, path):
    with server.page() as page:
        answer = page.send(httpx.Request("GET", httpx.URL(server.url).copy_with(raw_path=path.encode())))
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"


def test_what_is_no_page_keeps_the_policy_that_forbids_everything(server):
    with server.signed_in() as page:
        for path in ("/v1/log", "/console/session", "/v2/none"):
            (policy,) = page.get(path).headers.get_list("content-security-policy")
            assert policy.startswith("default-src 'none'; frame-ancestors 'none'")
            assert policy.endswith("sandbox")
