"""An issuer's access token admits whom the log grants, and nothing that only looks like one does. Threat 52."""

import json
import time

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ledger.core.entry import format_time
from ledger.core.errors import Code, LedgerError
from ledger.log.access import Access
from ledger.trust import jwks as jwks_module
from ledger.trust.jwks import FETCH_EVERY_S, OLDEST_S, SOONEST_S, FetchError, Jwks, parse_key_set
from ledger.trust.jwt import ALGORITHMS, MAX_CHARACTERS, Issuer, Tokens
from ledger.trust.local import digest
from tests.trust.issuer import AUDIENCE, NAME, Key, b64, claims, compact, hmac_sha256, key_set, token

KEY, OTHER = Key(), Key(kid="k2")
NOW = "2026-11-21T09:30:00.000000Z"


def granted(*wanted, access=None, **more):
    """What the log grants: for each a name and the claims it wants."""
    access = access or Access()
    for seq, (name, needed) in enumerate(wanted, 1):
        credential = {"type": "jwt", "issuer": NAME, "audience": AUDIENCE, "claims": needed}
        ext = {
            "log.name": name,
            "log.roles": ["writer"],
            "log.credential": credential,
            "log.by": "x",
            **{f"log.{key}": value for key, value in more.items()},
        }
        access = access.granted(ext, NOW, seq)
    return access


ACCESS = granted(("agent", {"sub": "agent-7"}))


def held(*keys, name=NAME):
    made = Jwks(name, lambda: key_set(*keys))
    made.refresh()
    return made


def tokens(*keys, algorithms=ALGORITHMS, leeway_s=0):
    return Tokens([Issuer(NAME, held(*(keys or (KEY,))), algorithms, leeway_s)])


def check(text, access=ACCESS, by=None):
    return (by or tokens()).check(text, digest(text), access)


def refused(text, access=ACCESS, by=None):
    with pytest.raises(LedgerError) as caught:
        check(text, access, by)
    assert caught.value.code is Code.UNAUTHENTICATED
    for secret in text.split("."):
        assert len(secret) < 20 or secret not in caught.value.detail
    return caught.value.detail


@pytest.mark.parametrize("alg", ["RS256", "PS256", "ES256", "EdDSA", "Ed25519"])
def test_a_token_that_its_issuer_signed_admits_who_was_granted_under_the_grants_name(alg):
    key = Key(alg)
    holder = check(token(key), by=tokens(key))
    assert (holder.name, holder.submitter, holder.granted_by) == ("agent", "jwt:agent", 1)
    assert [role.value for role in holder.roles] == ["writer"]


def test_what_a_token_says_of_roles_and_of_the_person_reaches_nothing():
    holder = check(token(KEY, roles=["admin"], scope="admin", email="ann@example.com", name="Ann"))
    assert "ann" not in repr(holder).lower()
    assert [role.value for role in holder.roles] == ["writer"]


@pytest.mark.parametrize(
    ("changed", "header"),
    [
        ({"iss": "https://evil.example"}, {}),
        ({"iss": NAME + "/"}, {}),
        ({"iss": None}, {}),
        ({"iss": [NAME]}, {}),
        ({"aud": "https://other.example"}, {}),
        ({"aud": None}, {}),
        ({"aud": []}, {}),
        ({"aud": {"a": AUDIENCE}}, {}),
        ({"aud": AUDIENCE[:-1]}, {}),
        ({"exp": None}, {}),
        ({"exp": int(time.time()) - 10}, {}),
        ({"exp": "never"}, {}),
        ({"exp": True}, {}),
        ({"exp": float("nan")}, {}),
        ({"exp": float("inf")}, {}),
        ({"exp": 1e308}, {}),
        ({"nbf": int(time.time()) + 86_400}, {}),
        ({"iat": int(time.time()) + 86_400}, {}),
        ({"sub": "agent-8"}, {}),
        ({"sub": None}, {}),
        ({"sub": ["agent-7"]}, {}),
        ({"sub": 7}, {}),
        ({}, {"crit": ["exp"], "exp": 1}),
        ({}, {"b64": False, "crit": ["b64"]}),
        ({}, {"typ": "dpop+jwt"}),
        ({}, {"typ": "logout+jwt"}),
        ({}, {"kid": "nobody's"}),
        ({}, {"kid": ["k1"]}),
        ({}, {"alg": "RS256"}),
        ({}, {"alg": "ES512"}),
        ({}, {"alg": "HS256"}),
        ({}, {"alg": "none"}),
        ({}, {"alg": "NONE"}),
        ({}, {"alg": None}),
        ({}, {"alg": ["ES256"]}),
    ],
)
def test_a_token_that_is_not_for_us_not_now_or_not_understood_admits_nobody(changed, header):
    refused(token(KEY, header=header, **changed))


def test_a_list_of_audiences_and_groups_holds_the_one_that_was_granted():
    access = granted(("analysts", {"groups": "ledger-analysts"}))
    good = token(KEY, aud=["x", AUDIENCE], groups=["all", "ledger-analysts"])
    assert check(good, access).submitter == "jwt:analysts"
    refused(token(KEY, aud=["x", AUDIENCE], groups=["ledger-analysts-2"]), access)
    refused(token(KEY, aud=["x", AUDIENCE], groups="all ledger-analysts"), access)


def test_all_claims_of_a_grant_must_be_there():
    access = granted(("one", {"sub": "agent-7", "azp": "gw"}))
    refused(token(KEY), access)
    assert check(token(KEY, azp="gw"), access).name == "one"


def test_a_token_that_fits_two_grants_admits_nobody():
    access = granted(("one", {"sub": "agent-7"}), ("two", {"azp": "gw"}))
    assert "one, two" in refused(token(KEY, azp="gw"), access)
    assert check(token(KEY), access).name == "one"


def test_another_key_a_changed_token_and_no_signature_admit_nobody():
    good = token(KEY)
    head, payload, signature = good.split(".")
    forged = b64(json.dumps(claims(sub="agent-8")).encode())
    impostor = Key(kid=KEY.kid)
    for text in (
        token(impostor),
        f"{head}.{forged}.{signature}",
        f"{head}.{payload}.",
        f"{head}.{payload}.{b64(bytes(64))}",
        f"{head}.{payload}.{signature[:-4]}",
        f"{head}.{payload}.{signature}=",
        f"{head}..{signature}",
        "..",
        "a.b.c",
        "é.é.é",
        good + "x" * MAX_CHARACTERS,
    ):
        refused(text)
    assert check(good).name == "agent"


@pytest.mark.parametrize("as_secret", ["jwk", "n", "pem"])
def test_the_public_key_is_nobodys_secret(as_secret):
    """The old trick: HS256 keyed with what everybody knows."""
    key = Key("RS256")
    secret = {
        "jwk": json.dumps(key.jwk).encode(),
        "n": key.jwk["n"].encode(),
        "pem": key.private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
    }[as_secret]
    header = {"typ": "JWT", "alg": "HS256", "kid": key.kid}
    refused(compact(header, claims(), hmac_sha256(secret)), by=tokens(key))


def test_a_key_that_the_token_brings_along_is_not_looked_at():
    stranger = Key(kid="mine")
    for header in ({"jwk": stranger.jwk}, {"jku": "http://127.0.0.1/keys"}, {"x5u": "http://127.0.0.1/c"}):
        refused(token(stranger, header=header))


def test_an_algorithm_that_the_file_does_not_name_is_not_taken():
    refused(token(KEY), by=tokens(KEY, algorithms=("RS256",)))


def test_a_key_is_used_for_its_own_algorithm_alone():
    key = Key("RS256")
    key.jwk["alg"] = "PS256"
    refused(token(key), by=tokens(key))


def test_one_issuers_key_signs_nothing_for_another():
    by = Tokens(
        [
            Issuer(NAME, held(KEY), ALGORITHMS, 0),
            Issuer("https://other.example", held(OTHER), ALGORITHMS, 0),
        ]
    )
    refused(token(OTHER), by=by)
    refused(token(OTHER, iss="https://other.example"), by=by)
    assert check(token(KEY), by=by).name == "agent"


def test_the_leeway_is_what_the_file_says():
    late = token(KEY, exp=int(time.time()) - 5)
    refused(late)
    assert check(late, by=tokens(KEY, leeway_s=30)).name == "agent"


def test_a_token_is_verified_once_until_the_grants_or_the_keys_change():
    by = tokens(KEY)
    text = token(KEY)
    first = check(text, by=by)
    assert check(text, by=by) is first
    other = granted(("renamed", {"sub": "agent-7"}))
    assert check(text, other, by=by).name == "renamed"
    issuer = by._issuers[NAME]
    issuer.keys._fetch = lambda: key_set(OTHER)
    issuer.keys.refresh()
    refused(text, other, by=by)


def test_a_grant_that_has_ended_admits_nobody_and_one_that_will_bounds_the_token():
    ended = granted(("agent", {"sub": "agent-7"}), expires_at="2026-11-21T09:30:01.000000Z")
    if format_time(time.time_ns() // 1_000) > "2026-11-21T09:30:01":
        refused(token(KEY), ended)
    soon = format_time(time.time_ns() // 1_000 + 60_000_000)
    holder = check(token(KEY), granted(("agent", {"sub": "agent-7"}), expires_at=soon))
    assert holder.until_us <= time.time_ns() // 1_000 + 60_000_000


# -- keys --------------------------------------------------------------------------------------------------------------


class Clock:
    def __init__(self):
        self.now_s = 1_000.0

    def __call__(self):
        return self.now_s


def test_unknown_keys_are_looked_for_but_not_for_each_token():
    clock, fetched = Clock(), []
    keys = Jwks(NAME, lambda: fetched.append(1) or key_set(KEY), clock)
    assert keys.due_in_s() == 0
    keys.refresh()
    assert keys.due_in_s() == FETCH_EVERY_S
    for _ in range(1_000):
        assert keys.key("nobody's") is None
    assert keys.due_in_s() == SOONEST_S
    clock.now_s += SOONEST_S
    assert keys.due_in_s() == 0
    keys.refresh()
    assert keys.due_in_s() == FETCH_EVERY_S
    assert len(fetched) == 2


def test_keys_stay_when_they_cannot_be_refreshed_but_not_for_ever():
    clock = Clock()
    answers = [key_set(KEY)]

    def fetch():
        if answers:
            return answers.pop()
        raise FetchError("away")

    keys = Jwks(NAME, fetch, clock)
    keys.refresh()
    clock.now_s += OLDEST_S - 1
    keys.refresh()
    assert keys.key("k1") is not None
    clock.now_s += 1
    assert keys.key("k1") is None


def test_a_key_that_is_withdrawn_is_gone_with_the_next_refresh():
    answers = [key_set(KEY), key_set(KEY, OTHER), key_set(KEY, OTHER)]
    keys = Jwks(NAME, answers.pop)
    keys.refresh()
    first = keys.generation
    keys.refresh()
    assert keys.generation == first, "the same keys"
    keys.refresh()
    assert keys.generation > first
    assert keys.key("k2") is None


def test_before_the_first_keys_are_there_nobody_is_admitted():
    keys = Jwks(NAME, lambda: key_set(KEY))
    assert "try again" in refused(token(KEY), by=Tokens([Issuer(NAME, keys, ALGORITHMS, 0)]))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"{}",
        b'{"keys":{}}',
        b'{"keys":[]}',
        b'{"keys":[7,null,"x",[]]}',
        b'{"keys":[{"kty":"oct","k":"AAAA","kid":"s"}]}',
        b'{"keys":[{"kty":"EC","crv":"P-256","x":"AA","y":"AA","kid":"s"}]}',
        b'{"keys":[{"kty":"RSA","n":"AQAB","e":"AQAB","kid":"s"}]}',
        b'{"keys":[{"kty":[],"kid":"s"}]}',
        b"[" * 100_000,
        json.dumps({"keys": [{}] * (jwks_module.MAX_KEYS + 1)}).encode(),
    ],
)
def test_what_is_no_key_set_is_refused(data):
    with pytest.raises(ValueError):
        parse_key_set(data)


def test_keys_that_must_not_verify_are_left_out():
    weak = Key("RS256", kid="weak", bits=1024)
    encrypting, private = Key(kid="enc"), Key(kid="private")
    encrypting.jwk["use"] = "enc"
    private.jwk["d"] = "AAAA"
    secret = {"kty": "oct", "k": "AAAA", "kid": "secret"}
    listed = [weak.jwk, encrypting.jwk, private.jwk, secret, KEY.jwk]
    found = parse_key_set(json.dumps({"keys": listed}).encode())
    assert set(found) == {"k1", None}


def test_of_two_keys_with_one_id_neither_counts():
    twin = Key(kid="k1")
    assert set(parse_key_set(key_set(KEY, twin, OTHER))) == {"k2"}


def test_a_verified_token_costs_a_post_next_to_nothing():
    by, text = tokens(KEY), token(KEY)
    check(text, by=by)
    presented, rounds = digest(text), 2_000
    best_us = 1e6
    for _ in range(10):
        started = time.perf_counter()
        for _ in range(rounds):
            by.check(text, presented, ACCESS)
        best_us = min(best_us, (time.perf_counter() - started) * 1e6 / rounds)
    assert best_us < 5, "0.5 on an idle machine"
