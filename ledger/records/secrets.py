"""Text that looks like a secret does not go into a signed fact: it could never be taken out again.

The patterns are the published shapes of widely used credentials. A literal search rules nearly every record out first.
"""

import re
from typing import Final

from ledger.core.errors import Code, FormatError

_SHAPES: Final = (
    (b"-----BEGIN ", re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY"), "a private key"),
    (b"PRIVATE+KEY+", re.compile(rb"PRIVATE\+KEY\+[^+\s]+\+[0-9a-f]{8}\+"), "a note signing key"),
    (b"eyJ", re.compile(rb"\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}"), "a JWT"),
    (b"AKIA", re.compile(rb"\bAKIA[0-9A-Z]{16}\b"), "an AWS access key"),
    (b"ASIA", re.compile(rb"\bASIA[0-9A-Z]{16}\b"), "an AWS access key"),
    (b"AIza", re.compile(rb"\bAIza[0-9A-Za-z_-]{35}"), "a Google API key"),
    (b"gh", re.compile(rb"\bgh[pousr]_[0-9A-Za-z]{36,}"), "a GitHub token"),
    (b"github_pat_", re.compile(rb"\bgithub_pat_[0-9A-Za-z_]{40,}"), "a GitHub token"),
    (b"glpat-", re.compile(rb"\bglpat-[0-9A-Za-z_-]{20,}"), "a GitLab token"),
    (b"xox", re.compile(rb"\bxox[abeoprs]-[0-9A-Za-z-]{10,}"), "a Slack token"),
    (b"sk-", re.compile(rb"(?<![A-Za-z0-9])sk-(?:ant-|proj-|svcacct-)?[A-Za-z0-9_-]{20,}"), "an API key"),
    (b"sk_live_", re.compile(rb"\bsk_live_[0-9A-Za-z]{20,}"), "a Stripe key"),
    (b"earer ", re.compile(rb"\b[Bb]earer [A-Za-z0-9._~+/-]{20,}"), "a bearer token"),
    (b"alt_", re.compile(rb"\balt_[A-Za-z0-9_-]{32,}"), "a token of this ledger"),
)
_PATH: Final = re.compile(rb'"([A-Za-z0-9_.:/-]{1,128})":')


def refuse_secrets(record: bytes) -> None:
    """Look for secrets in a record's canonical bytes (where contents are commitments already).

    Raises:
        FormatError: `secret-in-fact`, with the path, never with the secret.
    """
    for literal, shape, what in _SHAPES:
        if literal in record and (match := shape.search(record)):
            path = path_at(record, match.start())
            raise FormatError(
                Code.SECRET_IN_FACT,
                f"{path} looks like it holds {what}: facts are signed in clear and stay; mask it, or send it as a content",
                path=path,
            )


def path_at(record: bytes, position: int) -> str:
    """The path of the member whose value stands at a byte position of canonical JSON."""
    open_keys: list[str] = []
    key, at = "", 0
    while at < position:
        byte = record[at : at + 1]
        if byte == b'"':
            if match := _PATH.match(record, at):
                key = match[1].decode()
                at = match.end()
                continue
            at = _end_of_text(record, at)
            if at > position:
                break
            continue
        if byte == b"{":
            open_keys.append(key)
        elif byte == b"}":
            key = open_keys.pop()
        at += 1
    return ".".join(part for part in [*open_keys, key] if part)


def _end_of_text(record: bytes, start: int) -> int:
    at = start + 1
    while record[at : at + 1] not in {b'"', b""}:
        at += 2 if record[at : at + 1] == b"\\" else 1
    return at + 1
