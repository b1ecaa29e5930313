"""The keys that an issuer signs its tokens with (RFC 7517), fetched beside the requests: whoever checks a token never waits for the network.

A key that is not known asks for another look, at most one in a while, however many tokens name keys that nobody has. Keys that could not be fetched for
a day are not used any more: the issuer may have withdrawn them.
"""

import contextlib
import json
import logging
import threading
import time
import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from joserfc.errors import JoseError, SecurityWarning
from joserfc.jwk import ECKey, OKPKey, RSAKey

FETCH_EVERY_S: Final = 300.0
SOONEST_S: Final = 30.0  # after the last attempt, where a key is missing
OLDEST_S: Final = 24 * 3600.0
MAX_KEYS: Final = 64
MIN_RSA_BITS: Final = 2048
MAX_RSA_BITS: Final = 8192  # a larger one would take milliseconds for each token
_CURVES: Final = frozenset({"P-256", "P-384", "P-521"})
_KINDS: Final[Mapping[Any, type[RSAKey] | type[ECKey] | type[OKPKey]]] = {
    "RSA": RSAKey,
    "EC": ECKey,
    "OKP": OKPKey,
}

# How long a key must be is judged below, without a line on stderr for each that an issuer publishes.
warnings.filterwarnings("ignore", category=SecurityWarning, message="Key size")

PublicKey = RSAKey | ECKey | OKPKey
Fetch = Callable[[], bytes]
logger = logging.getLogger(__name__)


class FetchError(Exception):
    """The keys could not be fetched: its words say why, and name no secret."""


class Held(NamedTuple):
    """What was fetched last.

    Attributes:
        keys: by `kid`; under None the one key of a set of one.
        at_s: when, monotonic; 0 for never.
        generation: another number for other keys.
    """

    keys: dict[str | None, PublicKey]
    at_s: float
    generation: int


class Jwks:
    """The keys of one issuer. Read from any thread; refreshed by one."""

    def __init__(self, issuer: str, fetch: Fetch, clock: Callable[[], float] = time.monotonic) -> None:
        """Know none yet.

        Args:
            issuer: whose, for the server's own words.
            fetch: brings the key set, or raises FetchError.
            clock: seconds.
        """
        self.issuer = issuer
        self._fetch, self._clock = fetch, clock
        self._held = Held({}, 0.0, 0)
        self._tried_at_s: float | None = None
        self._wanted = False

    @property
    def generation(self) -> int:
        """Another number once other keys are held."""
        return self._held.generation

    def key(self, kid: str | None) -> PublicKey | None:
        """The key of this id. One that is not there is looked for soon."""
        held = self._held
        fresh = held.generation > 0 and self._clock() - held.at_s < OLDEST_S
        found = held.keys.get(kid) if fresh else None
        if found is None:
            self._wanted = True
        return found

    def due_in_s(self) -> float:
        """Seconds until it is to be refreshed; 0 for now."""
        if self._tried_at_s is None:
            return 0.0
        wait = SOONEST_S if self._wanted or self._held.generation == 0 else FETCH_EVERY_S
        return max(self._tried_at_s + wait - self._clock(), 0.0)

    def refresh(self) -> None:
        """Fetch. What is held stays where that fails, and the server's log says so."""
        self._wanted = False
        self._tried_at_s = self._clock()
        try:
            keys = parse_key_set(self._fetch())
        except (FetchError, ValueError) as error:
            logger.warning("the keys of %s could not be refreshed: %s", self.issuer, error)
            return
        held = self._held
        changed = {kid: key.as_dict(private=False) for kid, key in keys.items()} != {
            kid: key.as_dict(private=False) for kid, key in held.keys.items()
        }
        first = held.generation == 0
        self._held = Held(
            keys if changed or first else held.keys, self._clock(), held.generation + (changed or first)
        )


class Refreshing:
    """The thread that keeps the keys of all issuers fresh."""

    def __init__(self, sets: Sequence[Jwks], poll_s: float = 1.0) -> None:
        """Start it; it looks every `poll_s` seconds whether something is due."""
        self._sets, self._poll_s = sets, poll_s
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="jwks", daemon=True)
        if sets:
            self._thread.start()

    def close(self) -> None:
        """End it; a fetch that is under way is not waited for."""
        self._ending.set()

    def _run(self) -> None:
        while True:
            for each in self._sets:
                if each.due_in_s() == 0.0:
                    try:
                        each.refresh()
                    except Exception:
                        logger.exception("the keys of %s met an error of ours", each.issuer)
            if self._ending.wait(self._poll_s):
                return


def parse_key_set(data: bytes) -> dict[str | None, PublicKey]:
    """The keys for signatures in a JWK Set, by `kid`. Those that could not be used safely are left out: secret, weak, for encryption, of one `kid` with another.

    Raises:
        ValueError: it is no key set, or none of its keys can be used.
    """
    try:
        found: Any = json.loads(data)
        listed = found["keys"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise ValueError("what was answered is no JWK Set") from None
    if not isinstance(listed, list) or len(listed) > MAX_KEYS:
        raise ValueError(f"a JWK Set has at most {MAX_KEYS} keys here")
    usable: list[tuple[str | None, PublicKey]] = []
    for each in listed:
        kid = each.get("kid") if isinstance(each, dict) else None
        key = _usable(each)
        if key is not None and isinstance(kid, str | None):
            usable.append((kid, key))
    times = Counter(kid for kid, _ in usable)
    keys = {kid: key for kid, key in usable if kid is not None and times[kid] == 1}
    if len(usable) == 1:
        keys = {**keys, None: usable[0][1]}  # type: ignore[dict-item]
    if not keys:
        raise ValueError("the JWK Set has no key that could verify a signature")
    return keys  # type: ignore[return-value]


def _usable(value: Any) -> PublicKey | None:
    if not isinstance(value, dict) or value.get("use", "sig") != "sig":
        return None
    kind = _KINDS.get(str(value.get("kty")))
    operations = value.get("key_ops", ["verify"])
    if kind is None or "d" in value or not isinstance(operations, list) or "verify" not in operations:
        return None
    key: PublicKey | None = None
    with contextlib.suppress(JoseError, ValueError, TypeError, KeyError, AttributeError, OverflowError):
        key = kind.import_key(value)
    if isinstance(key, RSAKey):
        return key if MIN_RSA_BITS <= key.raw_value.key_size <= MAX_RSA_BITS else None
    if isinstance(key, ECKey):
        return key if key.curve_name in _CURVES else None
    return key if key is not None and value.get("crv") == "Ed25519" else None
