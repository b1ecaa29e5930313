"""Who is signed in. A session stands for the token that somebody showed, and is worth what the token is worth at that moment.

In memory alone: whoever restarts the server signs everybody out. A session's id goes to the browser in a cookie that no script reads; here it is kept as its
SHA-256, so that a look-up's time tells nothing of it. The token is kept as it came, because each request asks about it again: revoked, expired, of an issuer whose keys
changed, it ends the session with it.
"""

import hashlib
import re
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

IDLE_S: Final = 30 * 60.0
LONGEST_S: Final = 12 * 60 * 60.0
SESSIONS: Final = 4_096
SESSIONS_OF_ONE: Final = 16  # of one credential: nobody pushes out the others'
ID_BYTES: Final = 32
_ID: Final = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)
_SEPARATOR: Final = ";"


@dataclass(slots=True)
class _Session:
    name: str
    token: str = field(repr=False)
    opened_s: float
    seen_s: float


class Sessions:
    """Opens, finds and ends sessions. Lives on one event loop."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin with nobody signed in.

        Args:
            clock: seconds that never step back.
        """
        self._clock = clock
        self._sessions: dict[bytes, _Session] = {}  # whoever was here longest ago comes first

    def __len__(self) -> int:
        """How many there are, those among them that have ended without being asked for."""
        return len(self._sessions)

    def open(self, name: str, token: str) -> str:
        """A new session of a credential; where it has too many, or there are too many, the one longest unused ends.

        Args:
            name: the credential's name.
            token: what each later request is judged by.

        Returns:
            its id: 43 characters, new each time.
        """
        self._forget()
        own = [key for key, each in self._sessions.items() if each.name == name]
        if len(own) >= SESSIONS_OF_ONE:
            del self._sessions[own[0]]
        elif len(self._sessions) >= SESSIONS:
            del self._sessions[next(iter(self._sessions))]
        made = secrets.token_urlsafe(ID_BYTES)
        now_s = self._clock()
        self._sessions[_key(made)] = _Session(name, token, now_s, now_s)
        return made

    def token(self, session: str, *, touch: bool) -> str | None:
        """What a session stands for; None where there is no such session, or none any more.

        Args:
            session: the id that was shown.
            touch: count this as use; what a page asks by itself is none.
        """
        key = _key(session)
        found = self._sessions.get(key)
        if found is None:
            return None
        if self._ended(found):
            del self._sessions[key]
            return None
        if touch:
            found.seen_s = self._clock()
            self._sessions[key] = self._sessions.pop(key)
        return found.token

    def whose(self, session: str) -> str | None:
        """As whose it was opened, None where there is no such session."""
        found = self._sessions.get(_key(session))
        return None if found is None else found.name

    def end(self, session: str) -> None:
        """Sign out. One that is not there is out already."""
        self._sessions.pop(_key(session), None)

    def _ended(self, session: _Session) -> bool:
        now_s = self._clock()
        return now_s - session.seen_s >= IDLE_S or now_s - session.opened_s >= LONGEST_S

    def _forget(self) -> None:
        for key in [key for key, each in self._sessions.items() if self._ended(each)]:
            del self._sessions[key]


def cookie_name(origin: str, *, secure: bool) -> str:
    """The cookie of one log: browsers keep cookies by host, not by port, and two ledgers on one machine must not sign each other's people out.

    Args:
        origin: the log's name.
        secure: the browser speaks TLS; then nobody but this very host can set it (RFC 6265bis, 4.1.3.2).
    """
    mark = hashlib.sha256(origin.encode()).hexdigest()[:12]
    return f"__Host-agent-ledger-{mark}" if secure else f"agent-ledger-{mark}"


def format_cookie(name: str, session: str, *, secure: bool) -> str:
    """A `Set-Cookie` that gives the browser a session, or with "" takes it away. The browser forgets it when it ends."""
    ends = "" if session else "; Max-Age=0"
    return f"{name}={session}; Path=/; HttpOnly; SameSite=Strict{'; Secure' if secure else ''}{ends}"


def parse_cookie(given: str, name: str) -> str | None:
    """The session in a `Cookie` header, None where there is none, two, or something else under that name.

    Args:
        given: the header's value.
        name: as of `cookie_name`.
    """
    values = [
        value
        for found, _, value in (part.strip(" ").partition("=") for part in given.split(_SEPARATOR))
        if found == name
    ]
    return values[0] if len(values) == 1 and _ID.fullmatch(values[0]) else None


def _key(session: str) -> bytes:
    return hashlib.sha256(session.encode("utf-8", "surrogatepass")).digest()
