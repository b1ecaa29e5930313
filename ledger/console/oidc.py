"""Signing in at an issuer: the authorization code flow of OpenID Connect Core 1.0 (3.1), with PKCE (RFC 7636), a state and a nonce.

Nothing is kept for whoever begins. What a sign-in needs later is computed from its state by a key of this process, and the state holds for the one browser that has the cookie
it was made for. By a state somebody is signed in once: who comes back with it again is refused, before the issuer is asked. Kept are those alone, so nobody fills
the memory who cannot sign in.
"""

import base64
import binascii
import hashlib
import hmac
import json
import re
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from enum import StrEnum
from typing import Any, Final, NamedTuple
from urllib.parse import urlencode

CALLBACK: Final = "/console/oidc/callback"
LASTS_S: Final = 600  # a password, a second factor
USED: Final = 4_096
AT_ONCE: Final = 8  # exchanges: more would be somebody who has the issuer asked by us
MAX_CODE: Final = 4_096
MAX_TOKEN: Final = 8_192
BROWSER_BYTES: Final = 32
_STATE: Final = re.compile(r"(\d{1,2})\.(\d{1,12})\.([A-Za-z0-9_-]{43})", re.ASCII)
_ONCE: Final = ("code", "state", "error", "iss")
_PARTS: Final = 3


class Why(StrEnum):
    """Why nobody was signed in, as the page is told it; the server's log has the details."""

    CANCELLED = "cancelled"  # the issuer says no, or its user did
    EXPIRED = "expired"  # begun elsewhere, too long ago, or finished already
    NOT_GRANTED = "not-granted"  # the issuer knows them, the log admits no such one
    FAILED = "failed"  # the issuer's answer is none, or does not hold
    BUSY = "busy"


class SignInError(Exception):
    """Nobody is signed in.

    Attributes:
        why: what the page says.
    """

    def __init__(self, why: Why, detail: str) -> None:
        """With words of our own: nothing of what came."""
        super().__init__(detail)
        self.why = why


class ExchangeError(Exception):
    """The issuer gave no token for a code: its words say why, and name no secret."""


Exchange = Callable[[Mapping[str, str]], bytes]


class Provider(NamedTuple):
    """Where people sign in.

    Attributes:
        issuer: what its tokens say as `iss`, exactly.
        label: what the page calls it.
        client_id: how it knows this ledger; what its ID tokens say as `aud`.
        authorization_endpoint: where a browser is sent.
        redirect_uri: where it comes back to; None: `path` at the address on this machine that it asked.
        path: that of `redirect_uri`, this issuer's alone: what comes back there is its answer and nobody else's (RFC 9700, 4.4.2.2).
        scope: what is asked for, `openid` among it.
        exchange: trades the parameters of a token request for the answer's body, or raises ExchangeError.
    """

    issuer: str
    label: str
    client_id: str
    authorization_endpoint: str
    redirect_uri: str | None
    path: str
    scope: str
    exchange: Exchange


class Begun(NamedTuple):
    """A sign-in that was begun.

    Attributes:
        to: where the browser is sent.
        browser: what it keeps in a cookie meanwhile.
    """

    to: str
    browser: str


class Returned(NamedTuple):
    """A browser that came back to where it began.

    Attributes:
        provider: from where.
        state: with what, good until `ends` (seconds since 1970).
        code: what the issuer gave it.
        nonce: what the ID token must say.
        verifier: what the issuer asks for with the code.
    """

    provider: Provider
    state: str
    ends: int
    code: str
    nonce: str
    verifier: str


class SignIns:
    """Begins sign-ins and takes those back that return. Lives on one event loop, but for `redeem`."""

    def __init__(self, providers: Sequence[Provider] = (), clock: Callable[[], float] = time.time) -> None:
        """With these issuers and no other.

        Args:
            providers: where people may sign in.
            clock: seconds since 1970.
        """
        self.providers = tuple(providers)
        self._clock = clock
        self._key = secrets.token_bytes(32)
        self._used: dict[str, int] = {}
        self.redeeming = 0
        # Threads of its own: an issuer that does not answer keeps nobody else waiting.
        self.threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="sign-in")

    def begin(self, number: int, redirect_uri: str) -> Begun:
        """Send a browser to an issuer.

        Args:
            number: which one, as `providers` has them.
            redirect_uri: where it comes back to.

        Raises:
            LookupError: there is no such issuer.
        """
        if not 0 <= number < len(self.providers):
            raise LookupError(number)
        provider = self.providers[number]
        browser = secrets.token_urlsafe(BROWSER_BYTES)
        ends = f"{number}.{int(self._clock()) + LASTS_S}"
        state = f"{ends}.{self._made('state', ends, browser)}"
        asked = {
            "response_type": "code",
            "client_id": provider.client_id,
            "redirect_uri": redirect_uri,
            "scope": provider.scope,
            "state": state,
            "nonce": self._made("nonce", state),
            "code_challenge": _b64(hashlib.sha256(self._made("verifier", state).encode()).digest()),
            "code_challenge_method": "S256",
        }
        join = "&" if "?" in provider.authorization_endpoint else "?"
        return Begun(f"{provider.authorization_endpoint}{join}{urlencode(asked)}", browser)

    def take_back(self, given: Sequence[tuple[str, str]], browser: str | None, path: str) -> Returned:
        """Look at what a browser came back with.

        Args:
            given: the parameters of the address, each as often as it is there.
            browser: what its cookie has, None where it shows none.
            path: where it came to.

        Raises:
            SignInError: it is not this browser's, not of now, not the first time, or no.
        """
        said = _once(given)
        found = _STATE.fullmatch(said.get("state", ""))
        if found is None or browser is None:
            raise SignInError(Why.EXPIRED, "it came back without the state, or the cookie, that it was given")
        number, ends, mac = found.groups()
        if not hmac.compare_digest(mac, self._made("state", f"{number}.{ends}", browser)):
            raise SignInError(Why.EXPIRED, "its state was not made for this browser")
        now = int(self._clock())
        if now >= int(ends):
            raise SignInError(Why.EXPIRED, f"it took longer than {LASTS_S} s")
        state = found.group()
        if state in self._used:
            raise SignInError(Why.EXPIRED, "it has come back before")
        provider = self.providers[int(number)]
        if path != provider.path:
            raise SignInError(Why.FAILED, "the answer came to another issuer's address")
        if said.get("iss", provider.issuer) != provider.issuer:  # RFC 9207: an answer of another issuer
            raise SignInError(Why.FAILED, "the answer says that it is another issuer's")
        if "error" in said:
            raise SignInError(Why.CANCELLED, f"{provider.issuer} answered with an error")
        code = said.get("code", "")
        if not 0 < len(code) <= MAX_CODE:
            raise SignInError(Why.FAILED, f"{provider.issuer} answered with no code")
        return Returned(
            provider, state, int(ends), code, self._made("nonce", state), self._made("verifier", state)
        )

    def use(self, returned: Returned) -> None:
        """Let somebody in by this state, for the one time.

        Raises:
            SignInError: somebody was meanwhile, or too many were lately.
        """
        if returned.state in self._used:
            raise SignInError(Why.EXPIRED, "it has come back before")
        now = int(self._clock())
        for old in [each for each, until in self._used.items() if until <= now]:
            del self._used[old]
        if len(self._used) >= USED:
            raise SignInError(Why.BUSY, f"{USED} signed in within {LASTS_S} s")
        self._used[returned.state] = returned.ends

    def _made(self, what: str, *of: str) -> str:
        text = "\0".join((what, *of))
        return _b64(hmac.digest(self._key, text.encode("utf-8", "surrogatepass"), "sha256"))


def redeem(returned: Returned, redirect_uri: str) -> str:
    """Trade the code for an ID token that is for this ledger and this sign-in. Its signature and its times are the admission's to judge. Waits for the issuer.

    Raises:
        SignInError: there is none.
    """
    provider = returned.provider
    asked = {
        "grant_type": "authorization_code",
        "code": returned.code,
        "redirect_uri": redirect_uri,
        "code_verifier": returned.verifier,
    }
    try:
        answer: Any = json.loads(provider.exchange(asked))
    except ExchangeError as error:
        raise SignInError(Why.FAILED, f"{provider.issuer} gave no token: {error}") from None
    except (ValueError, RecursionError):
        raise SignInError(Why.FAILED, f"the token answer of {provider.issuer} is no JSON") from None
    token = answer.get("id_token") if isinstance(answer, dict) else None
    if not isinstance(token, str) or not 0 < len(token) <= MAX_TOKEN or not token.isascii():
        raise SignInError(Why.FAILED, f"{provider.issuer} gave no ID token")
    _check_claims(_claims(token), returned)
    return token


def person(token: str) -> str:
    """Whom a token that was redeemed is about, "" where it says nobody. Not for the log: sessions are counted by it.

    Raises:
        SignInError: it is no JWT.
    """
    return str(_claims(token).get("sub", ""))


def _check_claims(claims: Mapping[str, Any], returned: Returned) -> None:
    """OpenID Connect Core 1.0, 3.1.3.7: of this issuer, for this client alone, of this sign-in."""
    provider = returned.provider
    audience = claims.get("aud")
    for_us = audience == provider.client_id or (
        isinstance(audience, list)
        and provider.client_id in audience
        and (len(audience) == 1 or claims.get("azp") == provider.client_id)
    )
    nonce = claims.get("nonce")
    if claims.get("iss") != provider.issuer:
        raise SignInError(Why.FAILED, f"the ID token is not of {provider.issuer}")
    if not for_us or claims.get("azp", provider.client_id) != provider.client_id:
        raise SignInError(Why.FAILED, f"the ID token of {provider.issuer} is for somebody else")
    if not isinstance(nonce, str) or not hmac.compare_digest(
        nonce.encode("utf-8", "surrogatepass"), returned.nonce.encode()
    ):
        raise SignInError(Why.FAILED, f"the ID token of {provider.issuer} is of another sign-in")


def _claims(token: str) -> Mapping[str, Any]:
    parts = token.split(".")
    try:
        payload = parts[1] if len(parts) == _PARTS else ""
        found = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except (ValueError, binascii.Error, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise SignInError(Why.FAILED, "the ID token is no JWT")
    return found


def _once(given: Sequence[tuple[str, str]]) -> Mapping[str, str]:
    names = [name for name, _ in given if name in _ONCE]
    if len(names) != len(set(names)):
        raise SignInError(Why.EXPIRED, "it came back with a parameter twice")
    return dict(given)


def format_browser_cookie(name: str, browser: str, *, secure: bool) -> str:
    """A `Set-Cookie` that knows the browser again when it comes back from the issuer's site, which a strict one would not; with "" it goes.

    Args:
        name: of the session's cookie; this one's is longer.
        browser: as of `SignIns.begin`.
        secure: the browser speaks TLS.
    """
    ends = LASTS_S if browser else 0
    return f"{browser_cookie(name)}={browser}; Path=/; HttpOnly; SameSite=Lax; Max-Age={ends}{'; Secure' if secure else ''}"


def browser_cookie(name: str) -> str:
    """The name of that cookie beside a session's of this name."""
    return f"{name}-oidc"


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
