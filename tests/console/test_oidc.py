"""Signing in to the console at an issuer, and every way in that is none. Threat 72."""

import contextlib
import time
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from ledger.api.streams import STREAMS_PER_TOKEN
from ledger.cli.oidc import read_providers
from ledger.console.oidc import CALLBACK, LASTS_S, USED, SignInError, SignIns, Why
from ledger.console.sessions import SESSIONS_OF_ONE
from ledger.core.errors import Code, LedgerError
from tests.console.browser import BUILT, Tab
from tests.console.conftest import PAGE, Console
from tests.console.provider import CLIENT, SECRET, Provider
from tests.evidence.browser import chromium
from tests.faults.server import Server
from tests.trust.issuer import NAME, Key, claims, token

SENT_BACK = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}


@pytest.fixture(scope="module")
def provider():
    made = Provider()
    yield made
    made.close()


@pytest.fixture(autouse=True)
def honest(provider):
    yield
    provider.claims, provider.answer, provider.error = {}, None, None


@pytest.fixture(scope="module")
def server(provider, tmp_path_factory):
    folder = tmp_path_factory.mktemp("oidc")
    serving = Console(folder / "data", options=("--oidc", str(provider.file(folder / "issuers.toml"))))
    deadline = time.monotonic() + 60
    while "keys" not in provider.asked and time.monotonic() < deadline:
        time.sleep(0.02)
    grant(serving, "analysts", "content-reader", groups="ledger-analysts")
    yield serving
    assert serving.stop() == 0


def grant(server, name, *roles, **wanted):
    credential = {"type": "jwt", "issuer": NAME, "audience": CLIENT, "claims": wanted}
    with server.client() as client:
        body = {"name": name, "roles": roles, "credential": credential}
        client.post("/v1/access", json=body).raise_for_status()


class Browser:
    """A browser without a screen: it keeps cookies, and goes where it is sent when told."""

    def __init__(self, server):
        self.client = httpx.Client(base_url=server.url, timeout=30, trust_env=False)

    def begin(self):
        answer = self.client.post("/console/oidc", json={"issuer": 0}, headers=PAGE)
        answer.raise_for_status()
        return answer.json()["to"]

    def returned(self):
        """Where the issuer sends it back."""
        return httpx.get(self.begin(), trust_env=False).headers["location"]

    def go(self, url, **headers):
        return self.client.get(url, headers={**SENT_BACK, **headers})

    def signed_in(self):
        answer = self.client.get("/console/session", headers=PAGE)
        return answer.json()["name"] if answer.status_code == 200 else None

    def refused(self, url, why, **headers):
        """Go there, and see that nobody is signed in, for that reason, and nothing of what was said is said again."""
        answer = self.go(url, **headers)
        assert (answer.status_code, answer.headers["location"]) == (303, f"/console#/sign-in/{why}")
        assert self.signed_in() is None
        assert answer.content == b""
        return answer


@pytest.fixture
def browser(server):
    made = Browser(server)
    yield made
    made.client.close()


def test_who_signs_in_at_the_issuer_is_who_the_grant_says_by_a_strict_cookie(server, browser):
    asked = {name: values[0] for name, values in parse_qs(urlsplit(browser.begin()).query).items()}
    assert asked["redirect_uri"] == f"{server.url}/console/oidc/callback"
    assert (asked["response_type"], asked["code_challenge_method"], asked["tenant"]) == ("code", "S256", "1")
    answer = browser.go(browser.returned())
    assert (answer.status_code, answer.headers["location"]) == (303, "/console")
    session, known = answer.headers.get_list("set-cookie")
    assert session.split("; ")[1:] == ["Path=/", "HttpOnly", "SameSite=Strict"]
    assert "-oidc=; " in known
    assert "Max-Age=0" in known
    assert browser.signed_in() == "analysts"
    assert browser.client.get("/v1/entries/0", headers=PAGE).status_code == 200
    assert browser.client.get("/v1/access", headers=PAGE).status_code == 403
    assert browser.client.get("/v1/log").status_code == 401  # not the console's own page


def test_an_address_to_come_back_to_is_used_once_by_the_browser_that_began(server, browser, provider):
    address = browser.returned()
    other = Browser(server)
    other.refused(address, Why.EXPIRED)  # an attacker's link: signed in as somebody else (login CSRF)
    other.begin()
    other.refused(address, Why.EXPIRED)  # with a cookie of its own
    kept = dict(browser.client.cookies)
    assert browser.go(address).headers["location"] == "/console"
    asked = len(provider.asked)
    for copied in ({}, kept):
        again = Browser(server)
        again.client.cookies.update(copied)
        again.refused(address, Why.EXPIRED)
    assert len(provider.asked) == asked  # the issuer is not asked about it


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"state": "0.9999999999." + "x" * 43}, Why.EXPIRED),
        ({"state": ""}, Why.EXPIRED),
        ({"state": "\u202e0.1.x"}, Why.EXPIRED),
        ({"code": ""}, Why.FAILED),
        ({"code": "made-up"}, Why.FAILED),
        ({"code": "x" * 5_000}, Why.FAILED),
        ({"iss": "https://elsewhere.example"}, Why.FAILED),
    ],
)
def test_what_is_altered_on_the_way_back_signs_nobody_in(browser, changed, why):
    address = urlsplit(browser.returned())
    said = {name: values[0] for name, values in parse_qs(address.query).items()} | changed
    browser.refused(str(httpx.URL(f"{address.scheme}://{address.netloc}{address.path}", params=said)), why)


def test_a_parameter_twice_or_too_many_or_no_browser_is_nobody(browser):
    browser.refused(browser.returned() + "&code=other", Why.EXPIRED)
    browser.refused(browser.returned() + "&x=1" * 50, Why.EXPIRED)
    for said in ({"Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"}, {"Sec-Fetch-Dest": "iframe"}):
        browser.refused(browser.returned(), Why.EXPIRED, **said)


@pytest.mark.parametrize(
    ("claimed", "why"),
    [
        ({"nonce": "of another sign-in"}, Why.FAILED),
        ({"nonce": None}, Why.FAILED),
        ({"nonce": 7}, Why.FAILED),
        ({"nonce": "\ud800"}, Why.FAILED),
        ({"aud": "another client"}, Why.FAILED),
        ({"aud": [CLIENT, "another client"]}, Why.FAILED),
        ({"aud": CLIENT, "azp": "another client"}, Why.FAILED),
        ({"iss": "https://elsewhere.example"}, Why.FAILED),
        ({"groups": ["others"]}, Why.NOT_GRANTED),
        ({"exp": 1_000_000_000}, Why.NOT_GRANTED),
        ({"exp": None}, Why.NOT_GRANTED),
    ],
)
def test_an_id_token_that_is_not_of_this_sign_in_or_fits_no_grant_admits_nobody(
    browser, provider, claimed, why
):
    provider.claims = claimed
    browser.refused(browser.returned(), why)


def test_a_token_of_another_key_and_an_answer_that_is_none_admit_nobody(browser, provider):
    stolen = {"id_token": token(Key(), payload=claims(aud=CLIENT, groups=["ledger-analysts"]))}
    for answer in [
        stolen,
        {"access_token": "x"},
        {"id_token": 7},
        {"id_token": "a.b"},
        b"[",
        b"<script>",
        b"x" * 90_000,
    ]:
        provider.answer = (200, answer)
        browser.refused(browser.returned(), Why.FAILED)
    provider.answer = (302, b"")
    browser.refused(browser.returned(), Why.FAILED)


def test_what_an_issuer_says_of_an_error_is_repeated_nowhere(server, browser, provider):
    provider.error = {"error": "</script>\n\x1b[31m2026 signed in: admin", "error_description": "<img src=x>"}
    browser.refused(browser.returned(), Why.CANCELLED)
    assert "signed in: admin" not in server.said()
    assert "\x1b" not in server.said()


def test_it_leads_to_the_console_whatever_it_is_told(browser):
    for more in ("&to=https://evil.example", "&redirect_uri=https://evil.example/", "&next=//evil.example"):
        assert browser.go(browser.returned() + more).headers["location"] == "/console"


def test_a_session_ends_with_its_id_token(browser, provider):
    for seconds in (2, 8, 60):  # as long as signing in takes on a machine that does something else as well
        ends = time.time() + seconds
        provider.claims = {"exp": int(ends) - 30}  # the leeway is 30 s
        browser.go(browser.returned())
        if browser.signed_in() == "analysts":
            break
    assert time.time() < ends + 1
    time.sleep(max(0.0, ends - time.time()))
    assert browser.signed_in() is None


def test_many_share_a_grant_and_none_of_them_pushes_out_another(server, browser, provider):
    provider.claims = {"sub": "first"}
    browser.go(browser.returned())
    before = dict(browser.client.cookies)
    for number in range(SESSIONS_OF_ONE):
        provider.claims = {"sub": f"colleague {number}"}
        other = Browser(server)
        other.go(other.returned())
        assert other.signed_in() == "analysts"
    assert browser.signed_in() == "analysts"
    with contextlib.ExitStack() as following:  # nor keeps one from following the log
        for one in [other] * STREAMS_PER_TOKEN + [browser]:
            stream = one.client.stream("GET", "/v1/records/stream", headers=PAGE)
            assert following.enter_context(stream).status_code == 200
        assert other.client.get("/v1/records/stream", headers=PAGE).status_code == 429
    browser.go(browser.returned())  # again in the same browser: the session before it ends
    assert browser.signed_in() == "analysts"
    browser.client.cookies.clear()
    browser.client.cookies.update(before)
    assert browser.signed_in() is None


def test_only_the_consoles_own_page_begins(server, browser):
    for said in ({}, {**PAGE, "Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-origin"}):
        assert browser.client.post("/console/oidc", json={"issuer": 0}, headers=said).status_code == 403
    for issuer, status in ((1, 404), (-1, 404), ("0", 422), (None, 422)):
        answer = browser.client.post("/console/oidc", json={"issuer": issuer}, headers=PAGE)
        assert answer.status_code == status
        assert "set-cookie" not in answer.headers


def test_no_secret_and_no_code_stands_in_the_servers_words(server, browser):
    address = browser.returned()
    browser.go(address)
    code = parse_qs(urlsplit(address).query)["code"][0]
    assert not any(text in server.said() for text in (code, SECRET, "eyJ"))


@pytest.fixture
def ins(provider, tmp_path):
    (made,) = read_providers(provider.file(tmp_path / "issuers.toml"))
    clock = [1_000_000.0]
    return SignIns([made], lambda: clock[0]), clock


def came(begun):
    state = parse_qs(urlsplit(begun.to).query)["state"][0]
    return [("code", "c"), ("state", state)], begun.browser, CALLBACK


def why(ins, given, browser, path=CALLBACK):
    with pytest.raises(SignInError) as caught:
        ins.take_back(given, browser, path)
    return caught.value.why


def test_a_sign_in_has_ten_minutes(ins):
    signing, clock = ins
    in_time, late = (came(signing.begin(0, "http://127.0.0.1/")) for _ in range(2))
    clock[0] += LASTS_S - 1
    assert signing.take_back(*in_time).code == "c"
    clock[0] += 1
    assert why(signing, *late) is Why.EXPIRED


def test_a_state_is_of_one_server_and_cannot_be_made_by_others(ins, provider, tmp_path):
    signing, clock = ins
    other = SignIns(signing.providers, lambda: clock[0])
    assert why(signing, *came(other.begin(0, "http://127.0.0.1/"))) is Why.EXPIRED
    given, browser, _ = came(signing.begin(0, "http://127.0.0.1/"))
    longer = given[1][1].replace(f"{int(clock[0]) + LASTS_S}", "999999999999")
    assert why(signing, [given[0], ("state", longer)], browser) is Why.EXPIRED


def test_who_was_signed_in_is_remembered_within_bounds_and_never_forgotten_early(ins):
    signing, clock = ins
    first = came(signing.begin(0, "http://127.0.0.1/"))
    twice = signing.take_back(*first)
    signing.use(twice)
    with pytest.raises(SignInError):
        signing.use(twice)  # at the same moment
    for _ in range(USED - 1):
        signing.use(signing.take_back(*came(signing.begin(0, "http://127.0.0.1/"))))
    more = came(signing.begin(0, "http://127.0.0.1/"))
    with pytest.raises(SignInError) as caught:
        signing.use(signing.take_back(*more))
    assert caught.value.why is Why.BUSY
    assert why(signing, *first) is Why.EXPIRED
    clock[0] += LASTS_S
    signing.use(signing.take_back(*came(signing.begin(0, "http://127.0.0.1/"))))


def test_who_cannot_sign_in_takes_no_memory(ins):
    signing, _ = ins
    for _ in range(USED + 10):
        signing.take_back(*came(signing.begin(0, "http://127.0.0.1/")))
    signing.use(signing.take_back(*came(signing.begin(0, "http://127.0.0.1/"))))


def test_what_anybody_can_ask_writes_no_line_into_the_servers_log(server, browser):
    before = server.said().count("signed in")
    for query in ("", "?state=x", "?code=a&state=0.9999999999." + "x" * 43):
        browser.refused(f"/console/oidc/callback{query}", Why.EXPIRED)
    assert server.said().count("signed in") == before


def test_behind_a_proxy_the_file_must_say_where_browsers_come_back_to(provider, tmp_path):
    file = str(provider.file(tmp_path / "issuers.toml"))
    proxied = Server(tmp_path / "data", options=("--oidc", file, "--trusted-proxy", "127.0.0.1/32"))
    try:
        said = {**PAGE, "X-Forwarded-Proto": "https"}
        answer = httpx.post(
            f"{proxied.url}/console/oidc", json={"issuer": 0}, headers=said, trust_env=False, timeout=30
        )
        assert answer.status_code == 403
        assert "redirect_uri" in answer.json()["detail"]
    finally:
        assert proxied.stop() == 0


@pytest.mark.parametrize(
    "wrong",
    [
        {"client_id": None},
        {"scope": "profile"},
        {"client_secret_file": "/nowhere/secret"},
        {"client_secret_file": None, "client_secret_env": "AGENT_LEDGER_NO_SUCH_VARIABLE"},
        {"authorization_endpoint": "javascript:alert(1)"},
        {"token_endpoint": "https://u:p@login.example.com/token"},
        {"redirect_uri": "https://ledger.example.com/console"},
        {"redirect_uri": "http://ledger.example.com/console/oidc/callback"},
        {"redirect_uri": "https://ledger.example.com/console/oidc/callback?to=x"},
        {"redirect_uri": "https://ledger.example.com/console/oidc/callback/../.."},
        {"role": "admin"},
    ],
)
def test_a_file_that_is_not_understood_is_refused(provider, tmp_path, wrong):
    with pytest.raises(LedgerError) as caught:
        read_providers(provider.file(tmp_path / "issuers.toml", **wrong))
    assert caught.value.code is Code.OIDC_FILE
    assert SECRET not in caught.value.detail


def test_what_came_to_the_address_of_another_issuer_is_nobodys(server, browser, provider, tmp_path):
    address = browser.returned().replace(CALLBACK, f"{CALLBACK}/another")
    browser.refused(address, Why.FAILED)  # a mix-up: the code of one, brought to the other
    assert provider.codes  # it was not asked about it
    one = provider.file(tmp_path / "one.toml").read_text()
    both = tmp_path / "issuers.toml"
    both.write_text(one + one.replace(NAME, "https://another.example"))
    assert [each.path for each in read_providers(both)] == [f"{CALLBACK}/0", f"{CALLBACK}/1"]
    at = 'redirect_uri = "https://ledger.example.com/console/oidc/callback/same"\n'
    both.write_text((one + at) + (one + at).replace(NAME, "https://another.example"))
    with pytest.raises(LedgerError, match="give each its own") as caught:
        read_providers(both)
    assert caught.value.code is Code.OIDC_FILE


def test_where_a_browser_comes_back_to_is_the_files_word(provider, tmp_path):
    at = "https://ledger.example.com/console/oidc/callback"
    (made,) = read_providers(provider.file(tmp_path / "issuers.toml", redirect_uri=at))
    assert made.redirect_uri == at


@pytest.mark.skipif(not BUILT, reason="the console is not built: make console")
def test_a_person_signs_in_at_another_site_and_is_where_they_were(server, provider):
    with chromium() as driven:
        context = driven.new_context()
        tab = Tab(context, server).open("#/search?is.tool_name=nothing")
        button = tab.page.get_by_role("button", name="Sign in with Example <b>")
        provider.error = {"error": "access_denied"}
        button.click()
        tab.page.get_by_role("alert").filter(has_text="signed nobody in").wait_for()
        provider.error = None
        button.click()
        tab.page.locator(".who", has_text="analysts").wait_for()
        tab.page.get_by_role("heading", name="No action fits").wait_for()
        assert tab.page.url.endswith("#/search?is.tool_name=nothing")
        assert tab.page.evaluate("document.cookie + JSON.stringify({...sessionStorage})") == "{}"
        assert "eyJ" not in tab.page.evaluate("JSON.stringify({...localStorage})")
        issuers = f"http://localhost:{provider.port}/"
        tab.asked = [(how, url) for how, url in tab.asked if not url.startswith(issuers)]
        tab.close()
        context.close()
