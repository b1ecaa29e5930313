"""What stands between the log's key and others: what the local signer is asked, what an agent answers, what `log.key` says."""

import logging
from functools import cache
from pathlib import Path

from ledger.core.ed25519 import SigningKey, verify
from ledger.core.errors import LedgerError
from ledger.core.note import ED25519, VerifierKey
from ledger.log import keys, sshwire
from ledger.log.secret import PREFIX, format_secret, parse_secret
from ledger.log.sshwire import Identity
from ledger.signer import serving
from ledger.signer.rule import TITLES
from ledger.signer.serving import Signer
from tests.fuzz.target import Target, holds

ORIGIN, OTHER = "ledger.example/fuzz", "ledger.example/other"
SEED = b"\x09" * 32
KEY = VerifierKey.derive(ORIGIN, ED25519, SigningKey(SEED).public)
CHECKPOINT = f"{ORIGIN}\n5\nh9UMXqS06cZqY1DcnPgMhWQabcLU6G++7tynUvpM20w=\n"
MANIFEST = f'agent-ledger segment v1\n{ORIGIN}\n{{"a":1}}\n'
FAILURE = sshwire.format_message(sshwire.FAILURE)
logging.getLogger(serving.__name__).addHandler(logging.NullHandler())  # not a line for each refusal


@cache
def signer() -> Signer:
    return Signer(KEY, SEED)


def asked(data: bytes) -> bool:
    """A message to be signed. What is signed is a statement of this log, whatever else it looks like."""
    answer = signer().answer(sshwire.format_sign_request(KEY.public, data)[4:])
    if answer == FAILURE:
        return False
    verify(KEY.public, data, sshwire.parse_signature(answer[5:]))
    lines = data.decode().split("\n")
    holds(lines[-1] == "" and len(lines) == 4, "a statement is three lines", data)
    if lines[0] in TITLES:
        holds(lines[1] == ORIGIN and lines[2][:1] == "{", "a manifest is of this log", data)
    else:
        holds(lines[0] == ORIGIN and str(int(lines[1])) == lines[1], "a checkpoint is of this log", data)
    return True


def request(data: bytes) -> bool:
    """A whole message. Nothing is done but what the protocol has for it."""
    answer = signer().answer(data)
    kind = answer[4]
    holds(int.from_bytes(answer[:4], "big") == len(answer) - 4, "an answer is one message", answer)
    holds(kind != sshwire.FAILURE or answer == FAILURE, "a refusal says nothing", answer)
    if kind == sshwire.SIGN_RESPONSE:
        return asked(sshwire.parse_sign_request(data[1:]).data)
    holds(kind == sshwire.FAILURE or data == b"\x0b", "the keys are shown to who asks for them", data)
    return kind != sshwire.FAILURE


def answered(data: bytes) -> bool:
    """What an agent says, after its length: its keys, or a signature."""
    try:
        if data[:1] == bytes([sshwire.SIGN_RESPONSE]):
            signature = sshwire.parse_signature(data[1:])
            holds(sshwire.format_signature(signature)[4:] == data, "a signature has one form", data)
            return True
        found = sshwire.parse_identities(data[1:])
    except ValueError:
        return False
    again = sshwire.parse_identities(sshwire.format_identities(found)[5:])
    holds(again == found and all(len(each.public) == 32 for each in found), "keys read back", found)
    return True


def key_file(data: bytes) -> bool:
    """The text of `log.key`. What is refused may be a secret, and is not quoted."""
    text = data.decode("latin-1")
    try:
        if text.startswith(PREFIX):
            key, seed = parse_secret(text, "x")
            holds(SigningKey(seed).public == key.public, "a secret is its key's", key)
            holds(format_secret(key, seed).decode().strip() == text.strip("\n"), "a secret has one form", key)
        else:
            key, home = keys._parse_home(Path("x"), text)
            holds(f"{key}\n{home}" == text.removesuffix("\n"), "a reference has one form", text)
            holds("\n" not in home and (home == "environment" or home[10:11] == "/"), "a home is one", home)
    except LedgerError as error:
        holds(
            not any(len(part) > 12 and part in error.detail for part in text.split("\n")), "no secret", text
        )
        raise
    return True


def messages() -> list[bytes]:
    return [CHECKPOINT.encode(), MANIFEST.encode(), CHECKPOINT.replace("fuzz", "other").encode()]


def requests() -> list[bytes]:
    other = sshwire.format_sign_request(SigningKey(b"\x08" * 32).public, CHECKPOINT.encode())
    return [b"\x0b", *(sshwire.format_sign_request(KEY.public, each)[4:] for each in messages()), other[4:]]


def answers() -> list[bytes]:
    several = [Identity(KEY.public, "a"), Identity(SigningKey(b"\x08" * 32).public, "\u00e9")]
    rsa = b"\x0c\0\0\0\x01\0\0\0\x0c\0\0\0\x07ssh-rsa\0\0\0\0\0\0\0\x01x"
    return [
        sshwire.format_signature(bytes(64))[4:],
        sshwire.format_identities(several)[4:],
        sshwire.format_identities([])[4:],
        rsa,
        FAILURE[4:],
    ]


def key_files() -> list[bytes]:
    return [
        format_secret(KEY, SEED),
        f"{KEY}\nenvironment\n".encode(),
        f"{KEY}\nssh-agent:/run/x.sock\n".encode(),
        b"-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAA\n",
    ]


TEXTS = (
    *(f"{title}\n".encode() for title in sorted(TITLES)),
    f"{ORIGIN}\n".encode(),
    f"{OTHER}\n".encode(),
    b"agent-ledger record v1\n",
    b"cosignature/v1\ntime 7\n",
    b"\n\n",
    b"{}",
    b"\xe2\x80\x94 ",
)
WIRE = (b"\0\0\0\x0bssh-ed25519", b"\0\0\0\x20", b"\xff\xff\xff\xff", b"\0\0\0\0", b"\0\0\0\x40")

TARGETS = (
    Target("signer-message", asked, messages, 2_048, TEXTS),
    Target("signer-request", request, requests, 2_048, (*TEXTS, *WIRE)),
    Target("agent-answer", answered, answers, 2_048, WIRE),
    Target(
        "key-file",
        key_file,
        key_files,
        1_024,
        (PREFIX.encode(), b"environment", b"ssh-agent:/", b"\n", b"+", str(KEY).encode()),
    ),
)
