"""Text that looks like a secret does not go into a signed fact: it could never be taken out again.

The patterns are the published shapes of widely used credentials. Nearly every record is ruled out by looking for a rare byte,
then for a literal: looking for all literals in all records would be a third of the cost of reading them.
"""

import re
from typing import Final

from ledger.core.errors import Code, FormatError

# Rare byte, literal, shape, what it is.
_SHAPES: Final = (
    (b"B", b"-----BEGIN ", rb"-----BEGIN [A-Z ]*PRIVATE KEY", "a private key"),
    (b"+", b"PRIVATE+KEY+", rb"PRIVATE\+KEY\+[^+\s]+\+[0-9a-f]{8}\+", "a note signing key"),
    (
        b"J",
        b"eyJ",
        rb"(?<![A-Za-z0-9_-])eyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}",
        "a JWT",
    ),
    (b"I", b"KIA", rb"\bAKIA[0-9A-Z]{16}\b", "an AWS access key"),
    (b"I", b"SIA", rb"\bASIA[0-9A-Z]{16}\b", "an AWS access key"),
    (b"I", b"AIza", rb"\bAIza[0-9A-Za-z_-]{35}", "a Google API key"),
    (b"g", b"gh", rb"\bgh[pousr]_[0-9A-Za-z]{36,}", "a GitHub token"),
    (b"g", b"github_pat_", rb"\bgithub_pat_[0-9A-Za-z_]{40,}", "a GitHub token"),
    (b"g", b"glpat-", rb"\bglpat-[0-9A-Za-z_-]{20,}", "a GitLab token"),
    (b"x", b"xox", rb"\bxox[abeoprs]-[0-9A-Za-z-]{10,}", "a Slack token"),
    (b"k", b"sk-", rb"(?<![A-Za-z0-9])sk-(?:ant-|proj-|svcacct-)?[A-Za-z0-9_-]{20,}", "an API key"),
    (b"k", b"sk_live_", rb"\bsk_live_[0-9A-Za-z]{20,}", "a Stripe key"),
    (b"l", b"alt_", rb"\balt_[A-Za-z0-9_-]{32,}", "a token of this ledger"),
    (b"@", b"://", rb"://[^/\s:@\"]{1,256}:[^/\s@\"]{1,256}@", "a password in a URL"),
    (b" ", b"earer ", rb"\b[Bb]earer [A-Za-z0-9._~+/-]{20,}", "a bearer token"),
)
_BY_BYTE: Final = tuple(
    (
        byte,
        tuple((literal, re.compile(shape), what) for first, literal, shape, what in _SHAPES if first == byte),
    )
    for byte in dict.fromkeys(shape[0] for shape in _SHAPES)
)
# All shapes in one, for engines without look-behind (RE2): whatever `refuse_secrets` refuses matches, and hardly anything else does.
SIEVE: Final = "|".join(re.sub(r"\(\?<![^)]*\)", "", f"(?:{shape[2].decode()})") for shape in _SHAPES)
_PATH: Final = re.compile(rb'"([A-Za-z0-9_.:/-]{1,128})":')


def refuse_secrets(record: bytes) -> None:
    """Look for secrets in a record's canonical bytes (where contents are commitments already).

    Raises:
        FormatError: `secret-in-fact`, with the path, never with the secret.
    """
    for byte, shapes in _BY_BYTE:
        if byte in record:
            for literal, shape, what in shapes:
                if literal in record and (match := shape.search(record)):
                    raise _refused(path_at(record, match.start()), what)


def mask(text: str) -> str:
    """Text without what looks like a secret: for who makes facts of what others wrote. What is left is not refused for it."""
    data = text.encode()
    for byte, shapes in _BY_BYTE:
        if byte in data:
            for literal, shape, what in shapes:
                if literal in data:
                    data = shape.sub(f"[masked: {what}]".encode(), data)
    return data.decode()


def _refused(path: str, what: str) -> FormatError:
    return FormatError(
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
