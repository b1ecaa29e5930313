"""What admits somebody: access tokens, the keys of their issuers, a proxy's word about a certificate."""

import base64
import contextlib
import json
import time
from functools import cache

from ledger.core.errors import LedgerError
from ledger.log.access import Access
from ledger.trust.jwks import MAX_KEYS, MIN_RSA_BITS, Jwks, parse_key_set
from ledger.trust.jwt import ALGORITHMS, Issuer, Tokens
from ledger.trust.local import digest
from ledger.trust.spiffe import workload
from tests.fuzz.target import Target, holds
from tests.trust.issuer import AUDIENCE, NAME, Key, b64, claims, key_set

WORKLOAD, OWN = "spiffe://example.org/ns/prod/sa/agent", "spiffe://example.org/ns/prod/sa/own"
GRANT = {
    "log.name": "agent",
    "log.roles": ["writer"],
    "log.by": "x",
    "log.credential": {"type": "jwt", "issuer": NAME, "audience": AUDIENCE, "claims": {"sub": "agent-7"}},
}


@cache
def key() -> Key:
    return Key("Ed25519", "k1")


@cache
def access() -> Access:
    return Access().granted(GRANT, "2026-11-21T09:30:00.000000Z", 1)


@cache
def tokens() -> Tokens:
    held = Jwks(NAME, lambda: key_set(key()))
    held.refresh()
    return Tokens([Issuer(NAME, held, ALGORITHMS, 0)])


def admits(text: str) -> bool:
    """Whether a token admits anybody. What is refused is not quoted."""
    try:
        admitted = tokens().check(text, digest(text), access())
    except LedgerError as error:
        holds(
            all(len(part) < 20 or part not in error.detail for part in text.split(".")),
            "a refusal quotes no token",
            error.detail,
        )
        raise
    holds(admitted.name == "agent", "a token admits whom the log grants", admitted)
    return True


def jwt(data: bytes) -> bool:
    """A header and a payload, an empty line between them, signed as the issuer signs; without one, a token as it is."""
    head, parted, payload = data.partition(b"\n\n")
    if not parted:
        text = data.decode("latin-1")
        with contextlib.suppress(LedgerError):
            admits(text)
            holds(False, "nobody signed this", text)
        return False
    signed = f"{b64(head)}.{b64(payload)}"
    admits(f"{signed}.{b64(key().sign(signed.encode()))}")
    said = json.loads(payload)
    now = time.time() + 1
    audiences = said["aud"] if isinstance(said["aud"], list) else [said["aud"]]
    holds(
        (said["iss"], said["sub"]) in {(NAME, "agent-7"), (NAME, str(said["sub"]))} and AUDIENCE in audiences,
        "claims are the grant's",
        payload,
    )
    holds(said["sub"] == "agent-7" or "agent-7" in said["sub"], "claims are the grant's", payload)
    holds(said["exp"] > now - 60 and said.get("nbf", 0) <= now, "a token is valid now", payload)
    holds(json.loads(head)["alg"] in ALGORITHMS, "an algorithm that is taken", head)
    return True


def jwks(data: bytes) -> bool:
    try:
        found = parse_key_set(data)
    except ValueError:
        return False
    holds(0 < len(found) <= MAX_KEYS + 1, "so many keys", len(found))
    for each in found.values():
        public = each.as_dict(private=False)
        holds("d" not in public and each.as_dict().get("d") is None, "no secret is kept", sorted(public))
        if public["kty"] == "RSA":
            holds(
                len(base64.urlsafe_b64decode(public["n"] + "===")) * 8 >= MIN_RSA_BITS,
                "a key is strong",
                public,
            )
    return True


def forwarded(data: bytes) -> bool:
    """Whatever a client put before it, the proxy's own element decides, or nothing does."""
    text = data.decode("latin-1")
    found = workload(text)
    holds(found is None or found in text.replace("\\", ""), "a workload is in the header", text, found)
    after = workload(f"{text},By=spiffe://example.org/proxy;URI={OWN}")
    holds(after in {None, OWN}, "a client does not speak for the proxy", text, after)
    return found is not None


def token_seeds() -> list[bytes]:
    head = json.dumps({"typ": "at+jwt", "alg": "Ed25519", "kid": "k1"}).encode()
    payload = json.dumps(claims(exp=4_000_000_000, iat=1, nbf=1)).encode()
    several = json.dumps(claims(exp=4_000_000_000.5, iat=1, nbf=1, aud=["x", AUDIENCE])).encode()
    none = json.dumps({"alg": "none"}).encode()
    return [
        head + b"\n\n" + payload,
        head + b"\n\n" + several,
        f"{b64(none)}.{b64(payload)}.".encode(),
        f"{b64(head)}.{b64(payload)}.{'A' * 86}".encode(),
    ]


def sets() -> list[bytes]:
    secret = {**key().jwk, "kid": "k2", "d": "AAAA"}
    return [
        key_set(key(), Key("ES256", "e")),
        key_set(Key("RS256", "r")),
        json.dumps({"keys": [key().jwk, secret]}).encode(),
    ]


CLAIMS = (
    b'"exp":',
    b"1e400",
    b"NaN",
    b"null",
    b'"nbf":',
    b'"crit":["b64"]',
    b'"b64":false',
    b'"alg":"none"',
    b'"alg":"HS256"',
    b'"kid":',
    b"[",
    b"]",
    b"\\ud800",
    b"9" * 30,
)

TARGETS = (
    Target("jwt", jwt, token_seeds, 2_048, CLAIMS),
    Target(
        "jwks",
        jwks,
        sets,
        2_048,
        (
            *CLAIMS,
            b'"kty":"oct"',
            b'"kty":"EC"',
            b'"crv":"secp256k1"',
            b'"crv":"Ed448"',
            b'"crv":"P-384"',
            b'"use":"enc"',
            b'"key_ops":',
        ),
    ),
    Target(
        "client-certificate",
        forwarded,
        lambda: [
            f"URI={WORKLOAD}".encode(),
            f'By=x;Subject="a,\\"b;";URI="{WORKLOAD}",Hash=00;uri={WORKLOAD}'.encode(),
        ],
        512,
        (b'"', b"\\", b"URI=spiffe://example.org/x", b",By=", b";"),
    ),
)
