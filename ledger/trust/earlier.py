"""`tokens.json`, where earlier releases kept tokens: taken over into the log once, then put aside.

{"format": 1, "tokens": [{"name": "gw-eu-1", "roles": ["writer"], "sha256": "<64 hex>", "created_at": "…", "quota": {"records_per_s": 100}}]}
"""

from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec

from ledger.core.errors import Code, LedgerError
from ledger.log.access import LOCAL_NAME, NAME, Bearer, Grant, Quota
from ledger.storage.files import OTHERS, sync_folder
from ledger.trust.granting import ON_FOLDER, Log, grant, now
from ledger.trust.local import FILE, make_local_token, read_digest
from ledger.trust.roles import Role

EARLIER: Final = "tokens.json"
TAKEN_OVER: Final = "tokens.json.taken-over"


class _Token(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: Annotated[str, msgspec.Meta(pattern=NAME)]
    roles: Annotated[tuple[Role, ...], msgspec.Meta(min_length=1)]
    sha256: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]
    created_at: str
    quota: Quota | None = None


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    format: Literal[1]
    tokens: tuple[_Token, ...]


def take_over(folder: Path, log: Log) -> str | None:
    """Grant the tokens of an earlier release in the log, and put their file aside; killed in between, the next call finishes it.

    The token of this machine stays in its file, but only if it was still good: one that was revoked is not revived, another takes its place.

    Returns:
        What was done, in a sentence; None where there is nothing to do.

    Raises:
        LedgerError: `token-file`: the file cannot be read; or why its tokens cannot be granted.
    """
    path = folder / EARLIER
    if not path.exists():
        return None
    tokens = _read(path)
    granted = 0
    for token in tokens:
        if token.name != LOCAL_NAME and not _granted(log, token):
            roles = tuple(role.value for role in token.roles)
            grant(
                log,
                Grant(token.name, roles, Bearer(token.sha256), ON_FOLDER, quota=token.quota),
            )
            granted += 1
    _renew_local(folder, tokens)
    try:
        path.replace(folder / TAKEN_OVER)
        sync_folder(folder)
    except OSError as error:
        raise LedgerError(Code.TOKEN_FILE, f"{path} cannot be renamed: {error.strerror}") from error
    return f"{granted} tokens of an earlier release are entries of the log now; {path} was renamed to {TAKEN_OVER} and is not read any more"


def _granted(log: Log, token: _Token) -> bool:
    """Whether a call that was killed has granted it already."""
    held = log.standing.access.of(token.name, now(log))
    return any(each.grant.credential == Bearer(token.sha256) for each in held)


def _renew_local(folder: Path, tokens: tuple[_Token, ...]) -> None:
    path = folder / FILE
    local = read_digest(path).hex() if path.exists() else ""
    if not any(token.name == LOCAL_NAME and token.sha256 == local for token in tokens):
        make_local_token(folder)


def _read(path: Path) -> tuple[_Token, ...]:
    try:
        if path.stat().st_mode & OTHERS:
            raise LedgerError(
                Code.TOKEN_FILE, f"{path} is open to others, who could have let themselves in; chmod 600 it"
            )
        return msgspec.json.decode(path.read_bytes(), type=_File).tokens
    except OSError as error:
        raise LedgerError(Code.TOKEN_FILE, f"{path} cannot be read: {error.strerror}") from error
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise LedgerError(Code.TOKEN_FILE, f"{path} is not a file of tokens: {error}") from error
