"""What two owners of ledgers exchange, once, to witness each other: a signed note (docs/witnesses.md).

    agent-ledger invitation v1
    <origin>
    {"log": "<vkey>", "url": "https://…", "witness": "<vkey>"}

    — <origin> <the log's signature>

Its third line is canonical JSON: the log's key, its owner's witness, and where that is reached. Whoever gets it compares the fingerprint with what the other
reads out: the signature alone says only that the three belong together.
"""

from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from ledger.core import canonical
from ledger.core.errors import Code, FormatError
from ledger.core.note import (
    COSIGNATURE_V1,
    ED25519,
    NoteSigner,
    VerifierKey,
    format_vkey,
    open_note,
    parse_note,
    parse_vkey,
    sign_note,
)

TITLE: Final = "agent-ledger invitation v1"
MAX_BYTES: Final = 16 * 1024
MAX_URL_CHARACTERS: Final = 500
_LINES: Final = 4  # title, origin, JSON, and nothing after its newline
_MEMBERS: Final = frozenset({"log", "url", "witness"})
_FINGERPRINT_HEX: Final = 32
_GROUP: Final = 4


@dataclass(frozen=True, slots=True)
class Invitation:
    """An invitation.

    Attributes:
        log: the key of the log.
        witness: the key of its owner's witness.
        url: the witness's submission prefix.
    """

    log: VerifierKey
    witness: VerifierKey
    url: str

    @property
    def fingerprint(self) -> str:
        """What two people read out to each other: 128 bits of SHA-256 over both keys, in groups of four hex digits."""
        digest = sha256(
            f"{TITLE}\n{format_vkey(self.log)}\n{format_vkey(self.witness)}\n".encode()
        ).hexdigest()
        return " ".join(digest[at : at + _GROUP] for at in range(0, _FINGERPRINT_HEX, _GROUP))


def is_fingerprint_of(invitation: Invitation, given: str) -> bool:
    """Whether what somebody typed is the invitation's fingerprint, however they grouped it."""
    return "".join(given.lower().split()) == "".join(invitation.fingerprint.split())


def sign_invitation(signer: NoteSigner, witness: VerifierKey, url: str) -> bytes:
    """Make one.

    Args:
        signer: the log's.
        witness: its owner's witness.
        url: where that is reached.

    Raises:
        FormatError: it would not be one.
    """
    said = canonical.dumps({"log": format_vkey(signer.key), "url": url, "witness": format_vkey(witness)})
    note = sign_note(f"{TITLE}\n{signer.key.name}\n{said.decode()}\n", signer)
    open_invitation(note)
    return note


def open_invitation(note: bytes) -> Invitation:
    """Read one and check that the log's key has signed it.

    Raises:
        FormatError: it is none.
        VerificationError: it is not signed by the key it names.
    """
    if len(note) > MAX_BYTES:
        raise _malformed(f"it is longer than {MAX_BYTES} bytes")
    lines = parse_note(note).text.split("\n")
    if len(lines) != _LINES or lines[0] != TITLE:
        raise _malformed(f"it is a note that begins with {TITLE!r}, with an origin and one line of JSON")
    said = canonical.parse_canonical(lines[2].encode())
    if not isinstance(said, dict) or said.keys() != _MEMBERS:
        raise _malformed("its JSON has the members log, url and witness")
    log, url, witness = said["log"], said["url"], said["witness"]
    if not (isinstance(log, str) and isinstance(url, str) and isinstance(witness, str)):
        raise _malformed("the members of its JSON are texts")
    if not url.isascii() or not url.isprintable() or " " in url or len(url) > MAX_URL_CHARACTERS:
        raise _malformed("its URL is not one")
    found = Invitation(parse_vkey(log), parse_vkey(witness), url)
    if (
        found.log.algorithm != ED25519
        or found.witness.algorithm != COSIGNATURE_V1
        or found.log.name != lines[1]
    ):
        raise _malformed("its keys are not a log's of that origin and a witness's")
    if found.log.public == found.witness.public:
        raise _malformed("its witness has the log's own key")
    open_note(note, [found.log])
    return found


def _malformed(detail: str) -> FormatError:
    return FormatError(Code.MALFORMED_NOTE, f"no invitation: {detail}")
