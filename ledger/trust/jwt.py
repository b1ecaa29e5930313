"""Access tokens that an issuer signed (RFC 7519, RFC 9068): verified here, without asking anybody, and matched with what the log grants.

What a token says about roles counts for nothing: roles are the grant's. Nor does the person it is about reach an entry: that names the grant.
"""

import json
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, NamedTuple

from joserfc import jws
from joserfc.errors import JoseError, SecurityWarning
from joserfc.jws import CompactSignature, JWSRegistry
from joserfc.jwt import ClaimsOption, JWTClaimsRegistry

from ledger.core.entry import format_time
from ledger.core.errors import Code, LedgerError
from ledger.log.access import Access, Admitted, Jwt
from ledger.trust.jwks import Jwks
from ledger.trust.roles import Principal, principal

# Asymmetric ones alone: with HS* whoever has the public key could sign, and `none` is no signature.
ALGORITHMS: Final = (
    *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512", "EdDSA", "Ed25519"),
)
MAX_CHARACTERS: Final = 8_192
MAX_HEADER_BYTES: Final = 4_096
CACHED: Final = 4_096
_TYPES: Final = frozenset({"jwt", "at+jwt", "application/at+jwt"})
_ESSENTIAL: Final[ClaimsOption] = {"essential": True}

# Its name is old and the algorithm is Ed25519: no reason for a line per token.
warnings.filterwarnings("ignore", category=SecurityWarning, message="EdDSA")


class Issuer(NamedTuple):
    """Whose tokens are taken.

    Attributes:
        name: what its tokens say as `iss`, exactly.
        keys: its keys.
        algorithms: what it may sign with, of `ALGORITHMS`.
        leeway_s: how far its clock may be off.
    """

    name: str
    keys: Jwks
    algorithms: tuple[str, ...]
    leeway_s: int


class Tokens:
    """Verifies tokens, each once as long as neither the grants nor the issuers' keys change. Lives on one event loop."""

    def __init__(self, issuers: Sequence[Issuer]) -> None:
        """Take tokens of these issuers and of no other."""
        self._issuers: Mapping[str, Issuer] = {each.name: each for each in issuers}
        self._known: dict[bytes, Principal] = {}
        self._access: Access | None = None
        self._generations: list[int] = []

    def check(self, token: str, presented: bytes, access: Access) -> Principal:
        """Whom a token admits, and until when.

        Args:
            token: its text.
            presented: SHA-256 of that.
            access: what the log grants now.

        Raises:
            LedgerError: `unauthenticated`: why it admits nobody. The words hold nothing of the token.
        """
        generations = [each.keys.generation for each in self._issuers.values()]
        if access is not self._access or generations != self._generations or len(self._known) >= CACHED:
            self._known, self._access, self._generations = {}, access, generations
        known = self._known.get(presented)
        if known is None:
            known = self._known[presented] = self._verify(token, access)
        return known

    def _verify(self, token: str, access: Access) -> Principal:
        if len(token) > MAX_CHARACTERS:
            raise _refused(f"is longer than {MAX_CHARACTERS} characters")
        try:
            claims, issuer = self._claims(token)
            ends_us = int((claims["exp"] + issuer.leeway_s) * 1_000_000)
        except (JoseError, ValueError, TypeError, KeyError, RecursionError, OverflowError) as error:
            raise _refused(f"cannot be verified, or is not valid now ({type(error).__name__})") from None
        admitted = principal(_matching(access, issuer, claims))
        until_us = ends_us if admitted.until_us is None else min(ends_us, admitted.until_us)
        return replace(admitted, until_us=until_us)

    def _claims(self, token: str) -> tuple[dict[str, Any], Issuer]:
        """The claims of a token whose signature and times hold."""
        signed = jws.extract_compact(token.encode("ascii"), registry=_registry(ALGORITHMS))
        claims = json.loads(signed.payload)
        issuer = self._issuers.get(claims["iss"])
        if issuer is None:
            raise _refused("is of an issuer that this server does not know (--oidc)")
        _check_signature(signed, issuer)
        JWTClaimsRegistry(leeway=issuer.leeway_s, exp=_ESSENTIAL, aud=_ESSENTIAL).validate(claims)
        return claims, issuer


def _check_signature(signed: CompactSignature, issuer: Issuer) -> None:
    header = signed.headers()
    if "crit" in header or "b64" in header:
        raise _refused("has a header that is not understood here")
    if str(header.get("typ", "JWT")).lower() not in _TYPES:
        raise _refused("is no access token by its typ")
    if header["alg"] not in issuer.algorithms:
        raise _refused("is signed by an algorithm that is not taken from its issuer")
    kid = header.get("kid")
    key = issuer.keys.key(kid) if isinstance(kid, str | None) else None
    if key is None:
        raise _refused(
            "is signed with a key that its issuer does not publish, or that is not fetched yet: try again"
        )
    if key.alg not in {None, header["alg"]}:
        raise _refused("is signed by another algorithm than its key is for")
    if not jws.validate_compact(signed, key, registry=_registry(issuer.algorithms)):
        raise _refused("has a signature that does not hold")


def _registry(algorithms: tuple[str, ...]) -> JWSRegistry:
    registry = JWSRegistry(algorithms=algorithms, strict_check_header=False)
    registry.max_header_length = MAX_HEADER_BYTES
    return registry


def _matching(access: Access, issuer: Issuer, claims: Mapping[str, Any]) -> Admitted:
    """The one grant that fits the claims.

    Raises:
        LedgerError: `unauthenticated`: none does, or an entry could not say which one it was.
    """
    now = format_time(time.time_ns() // 1_000)
    found = [
        each for each in access.admitted.values() if each.holds(now) and _fits(each, issuer.name, claims)
    ]
    if len(found) > 1:
        names = ", ".join(each.grant.name for each in found)
        raise _refused(f"fits more than one grant ({names}): grant what tells them apart")
    if not found:
        raise _refused("fits no grant of this log: neither its audience nor its claims are admitted")
    return found[0]


def _fits(each: Admitted, issuer: str, claims: Mapping[str, Any]) -> bool:
    wanted = each.grant.credential
    return (
        isinstance(wanted, Jwt)
        and wanted.issuer == issuer
        and _says(claims["aud"], wanted.audience)
        and all(_says(claims.get(name), text) for name, text in wanted.claims.items())
    )


def _says(claimed: Any, text: str) -> bool:
    """Whether a claim is this text, or a list that holds it."""
    return text in claimed if isinstance(claimed, list) else isinstance(claimed, str) and claimed == text


def _refused(why: str) -> LedgerError:
    return LedgerError(Code.UNAUTHENTICATED, f"this token {why}")
