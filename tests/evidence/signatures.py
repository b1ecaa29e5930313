"""Signatures that Ed25519 verifiers are known to judge differently, and what each of them says. Threat 19."""

import base64
import hashlib
import json
from pathlib import Path
from typing import Any, NamedTuple

import nacl.bindings
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from ledger.core import ed25519
from ledger.core.errors import FormatError, VerificationError
from ledger.core.note import ED25519
from tests.core.test_ed25519 import negated_plus_order_two

SEED = bytes(range(7, 39))


class Case(NamedTuple):
    """One signature, and whether it holds.

    Attributes:
        name: where it is from, and which one.
        public: the key, or what is said to be one.
        message: what is signed.
        signature: of 64 bytes, or not.
        holds: the one right verdict.
    """

    name: str
    public: bytes
    message: bytes
    signature: bytes
    holds: bool

    def as_json(self) -> dict[str, str]:
        return {"pk": self.public.hex(), "msg": self.message.hex(), "sig": self.signature.hex()}


def own_cases() -> list[Case]:
    """What the published ones lack: a key of mixed order, under which the equation of verification holds for every second message."""
    key = ed25519.SigningKey(SEED)
    mixed = negated_plus_order_two(key.public)
    forged = [(number.to_bytes(1, "big"), signed_as(mixed, number.to_bytes(1, "big"))) for number in range(8)]
    return [
        Case("own: good", key.public, b"message", key.sign(b"message"), holds=True),
        Case("own: another message", key.public, b"massage", key.sign(b"message"), holds=False),
        *[Case(f"own: mixed order {n}", mixed, *each, holds=False) for n, each in enumerate(forged)],
    ]


def signed_as(public: bytes, message: bytes) -> bytes:
    """A signature by the key of SEED that names `public` as its key, as whoever makes a key of mixed order signs."""
    order = 2**252 + 27742317777372353535851937790883648493
    expanded = hashlib.sha512(SEED).digest()
    secret = int.from_bytes(
        bytes([expanded[0] & 248]) + expanded[1:31] + bytes([expanded[31] & 127 | 64]), "little"
    )
    nonce = int.from_bytes(hashlib.sha512(expanded[32:] + message).digest(), "little") % order
    point = nacl.bindings.crypto_scalarmult_ed25519_base_noclamp(nonce.to_bytes(32, "little"))
    challenge = int.from_bytes(hashlib.sha512(point + public + message).digest(), "little")
    return point + ((nonce + challenge * secret) % order).to_bytes(32, "little")


def published_cases(vectors: Path) -> list[Case]:
    """Wycheproof's, and keys of small order."""
    found = []
    for file in ("wycheproof/ed25519_test.json", "ed25519/small_order.json"):
        cases = json.loads((vectors / file).read_text())["cases"]
        for at, case in enumerate(cases):
            parts = (bytes.fromhex(case[part]) for part in ("pk", "msg", "sig"))
            found.append(Case(f"{file} {case['id']} ({at})", *parts, holds=case.get("result") == "valid"))
    return found


def may_be_registered(case: Case) -> bool:
    """Whether the ledger lets the key be anybody's."""
    try:
        ed25519.check_public_key(case.public)
    except FormatError:
        return False
    return True


def by_the_ledger(case: Case) -> bool:
    try:
        ed25519.verify(case.public, case.message, case.signature)
    except VerificationError:
        return False
    return True


def by_openssl(case: Case) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(case.public).verify(case.signature, case.message)
    except (InvalidSignature, ValueError):
        return False
    return True


def by_the_page(page: Any, cases: list[Case]) -> list[bool]:
    """What the functions of the verifying page say, in the browser that has it open."""
    return page.evaluate(
        """cases => Promise.all(cases.map(async each => {
            try { return await signs(await importPoint(unhex(each.pk)), unhex(each.sig), unhex(each.msg)); }
            catch (error) { if (error instanceof Refused) return false; throw error; }
        }))""",
        [case.as_json() for case in cases],
    )


def vkey_of(case: Case) -> str:
    """The key as a note's verifier key (c2sp.org/signed-note), whether or not the ledger would take it."""
    data, name = bytes([ED25519]) + case.public, "test.example/key"
    key_id = hashlib.sha256(name.encode() + b"\n" + data).digest()[:4]
    return f"{name}+{key_id.hex()}+{base64.b64encode(data).decode()}"


def disagreements(cases: list[Case], verdicts: dict[str, list[bool]]) -> list[tuple[str, dict[str, bool]]]:
    """Of which cases somebody says another thing than is right, and what each says."""
    rows = []
    for at, case in enumerate(cases):
        said = {name: found[at] for name, found in verdicts.items()}
        if set(said.values()) != {case.holds}:
            rows.append((case.name, said))
    return rows


def table(rows: list[tuple[str, dict[str, bool]]]) -> str:
    """For people."""
    return "\n".join(f"{name:60} {said}" for name, said in rows) or "nobody disagrees"
