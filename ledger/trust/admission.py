"""Who is let in: what a request shows, looked up among what the log grants. A dict look-up, for it stands before every record.

The look-up is made again when the log says something else about access: a credential works, or stops working, from its entry on.
"""

import hmac
import time
from typing import TYPE_CHECKING, Any, Protocol

from ledger.core.entry import parse_time
from ledger.core.errors import Code, LedgerError
from ledger.log.access import Access, Bearer, Spiffe
from ledger.log.standing import Standing
from ledger.storage.schema import Head
from ledger.trust.local import LocalToken, digest
from ledger.trust.roles import Principal, principal
from ledger.trust.spiffe import TrustedProxies, workload

if TYPE_CHECKING:
    from ledger.trust.jwt import Tokens  # its library is an extra

_DOTS_OF_A_JWT = 2


class _Log(Protocol):
    """What is needed of `ledger.log.log.Log`."""

    @property
    def standing(self) -> Standing: ...
    def head(self) -> Head: ...


class Admission:
    """Looks up who asks. Lives on one event loop."""

    def __init__(
        self,
        log: _Log,
        local: LocalToken | None = None,
        *,
        tokens: "Tokens | None" = None,
        proxies: TrustedProxies | None = None,
    ) -> None:
        """Admit whom the log grants access, and who has the token of this machine.

        Args:
            log: what grants.
            local: the token of this machine.
            tokens: verifies what issuers sign; None where no issuer is known.
            proxies: whose word about client certificates counts; None for nobody's.
        """
        self._log, self._local, self._tokens, self._proxies = log, local, tokens, proxies
        self._access: Access | None = None
        self._bearers: dict[bytes, tuple[bytes, Principal]] = {}
        self._workloads: dict[str, Principal] = {}

    def bearer(self, secret: str) -> Principal | None:
        """Who holds a token; None for one that was never granted, is revoked or has expired.

        Raises:
            LedgerError: `unauthenticated`: why an issuer's token admits nobody; `token-file`: the file of this machine's token no longer holds.
        """
        access = self._current()
        presented = digest(secret)
        # How long a look-up takes tells at most about the hash of a guess; the comparison that admits takes the same time for all.
        known = self._bearers.get(presented)
        if known is not None and hmac.compare_digest(known[0], presented):
            return self._unless_expired(known[1])
        if self._tokens is not None and secret.count(".") == _DOTS_OF_A_JWT:
            return self._unless_expired(self._tokens.check(secret, presented, access))
        return self._local.check(presented) if self._local is not None else None

    def forwarded(self, address: str, certificate: str) -> Principal | None:
        """Whose certificate a proxy at this address has seen; None where the proxy is not trusted, or the log admits no such workload."""
        if self._proxies is None or not self._proxies.trust(address):
            return None
        return self._named(workload(certificate) or "")

    def trusts(self, address: str) -> bool:
        """Whether a proxy at this address is believed."""
        return self._proxies is not None and self._proxies.trust(address)

    def shown(self, address: str, spiffe_id: str, until: float) -> Principal | None:
        """Who has shown a certificate with this SPIFFE ID, which ends at `until` (seconds since 1970); None where the log admits no such workload.

        A trusted proxy's own certificate names nobody: it passes on what others ask.
        """
        if time.time() >= until or (self._proxies is not None and self._proxies.trust(address)):
            return None
        return self._named(spiffe_id)

    def _named(self, spiffe_id: str) -> Principal | None:
        self._current()
        found = self._workloads.get(spiffe_id)
        return None if found is None else self._unless_expired(found)

    def outside_the_log(self) -> list[dict[str, Any]]:
        """The token of this machine, where it has one, as credentials are shown.

        Raises:
            LedgerError: `token-file`.
        """
        return [] if self._local is None else self._local.shown()

    def withdraw_local(self) -> None:
        """Remove the token of this machine.

        Raises:
            LedgerError: `not-found`, `token-file`.
        """
        if self._local is None:
            raise LedgerError(Code.NOT_FOUND, "this machine has no token of its own")
        self._local.remove()

    def _current(self) -> Access:
        access = self._log.standing.access
        if access is not self._access:
            self._take(access)
        return access

    def _take(self, access: Access) -> None:
        self._bearers, self._workloads = {}, {}
        for each in access.admitted.values():
            credential = each.grant.credential
            if isinstance(credential, Bearer):
                known = bytes.fromhex(credential.sha256)
                self._bearers[known] = (known, principal(each))
            elif isinstance(credential, Spiffe):
                self._workloads[credential.id] = principal(each)
        self._access = access

    def _unless_expired(self, found: Principal) -> Principal | None:
        if found.until_us is None:
            return found
        # A clock that steps back behind the newest entry does not bring a credential back.
        now_us = max(time.time_ns() // 1_000, parse_time(self._log.head().recorded_at))
        return found if now_us < found.until_us else None
