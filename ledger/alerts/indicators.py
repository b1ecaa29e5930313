"""`indicators`: texts, domains and digests that should not be there, from a file the operator keeps.

    # one a line; the kind comes first
    literal attacker@evil.example
    domain evil.example
    sha256 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08

A literal is found anywhere in a text, whatever its case. A domain is found with everything below it. A digest (MD5, SHA-1, SHA-256: `hash`, or the algorithm's
name) is found where it is written, and a SHA-256 also where a content, or a text that is a whole content, has it.
"""

import logging
import re
from collections.abc import Iterable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from ledger.alerts.alert import Found
from ledger.alerts.seen import Seen, texts
from ledger.alerts.settings import Indicators
from ledger.alerts.state import State
from ledger.core.errors import Code, LedgerError

MAX_CHARACTERS: Final = 32 * 1024 * 1024
MIN_CHARACTERS: Final = 4
GRAM: Final = 4  # characters of a literal that it is looked up by
FEW: Final = 64  # literals that are cheaper to look for one by one
MAX_NAMED: Final = 10  # in one alert
DIGESTS: Final = {"md5": 32, "sha1": 40, "sha256": 64}
_HEX: Final = re.compile(r"(?<![0-9a-z])(?:[0-9a-f]{64}|[0-9a-f]{40}|[0-9a-f]{32})(?![0-9a-z])")
_DOMAIN: Final = re.compile(r"(?:[a-z0-9_-]{1,63}\.)+[a-z0-9-]{2,63}")

logger = logging.getLogger(__name__)


class Listed(NamedTuple):
    """A list of indicators, ready to be looked for.

    Attributes:
        literals: in lower case.
        grams: literals by their first GRAM characters, where they are many.
        domains: in lower case.
        digests: lower-case hex.
    """

    literals: tuple[str, ...]
    grams: dict[str, tuple[str, ...]]
    domains: frozenset[str]
    digests: frozenset[str]

    def found_in(self, text: str) -> Iterator[tuple[str, str]]:
        """The indicators in a text: kind and indicator."""
        text = text.lower()
        for literal in self._literals_in(text):
            yield "literal", literal
        if self.domains and "." in text:
            for name in set(_DOMAIN.findall(text)):
                labels = name.split(".")
                for at in range(len(labels) - 1):
                    if (domain := ".".join(labels[at:])) in self.domains:
                        yield "domain", domain
        if self.digests and len(text) >= DIGESTS["md5"]:
            for digest in set(_HEX.findall(text)) & self.digests:
                yield "hash", digest

    def _literals_in(self, text: str) -> Iterator[str]:
        candidates: Iterable[str] = self.literals
        if self.grams:
            grams = {text[at : at + GRAM] for at in range(len(text) - GRAM + 1)} & self.grams.keys()
            candidates = (literal for gram in grams for literal in self.grams[gram])
        return (literal for literal in candidates if literal in text)


def parse_indicators(text: str) -> Listed:
    """Read a list.

    Raises:
        LedgerError: `alerts-file`, with the line that is none.
    """
    if len(text) > MAX_CHARACTERS:
        raise LedgerError(Code.ALERTS_FILE, f"a list has at most {MAX_CHARACTERS:,} characters")
    by_kind: dict[str, list[str]] = {"literal": [], "domain": [], "hash": []}
    for number, line in enumerate(text.split("\n"), 1):
        said = line.strip()
        if not said or said.startswith("#"):
            continue
        kind, _, value = said.partition(" ")
        value = value.strip().lower()
        if not _fits(kind, value):
            raise LedgerError(
                Code.ALERTS_FILE,
                f"line {number}: an indicator is `literal <{MIN_CHARACTERS} or more characters>`, `domain <name>` or `sha256 <hex>`",
            )
        by_kind["hash" if kind in DIGESTS else kind].append(value.rstrip(".") if kind == "domain" else value)
    literals = tuple(dict.fromkeys(by_kind["literal"]))
    grams: dict[str, list[str]] = {}
    for literal in literals if len(literals) > FEW else ():
        grams.setdefault(literal[:GRAM], []).append(literal)
    return Listed(
        literals,
        {gram: tuple(some) for gram, some in grams.items()},
        frozenset(by_kind["domain"]),
        frozenset(by_kind["hash"]),
    )


def read_indicators(path: Path) -> Listed:
    """Read the file of a list.

    Raises:
        LedgerError: `alerts-file`.
    """
    try:
        with path.open("rb") as file:
            data = file.read(4 * MAX_CHARACTERS + 1)
        return parse_indicators(data.decode())
    except OSError as error:
        raise LedgerError(Code.ALERTS_FILE, f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise LedgerError(Code.ALERTS_FILE, f"{path} is not UTF-8 text") from None
    except LedgerError as error:
        raise LedgerError(Code.ALERTS_FILE, f"{path}: {error.detail}") from None


class Indicated:
    """The rule. Its list is read again when the file changes; a file that is no good is told of, and the list stays as it was."""

    def __init__(self, settings: Indicators) -> None:
        """Read the list.

        Raises:
            LedgerError: `alerts-file`.
        """
        self.settings, self.reads_contents = settings, settings.contents
        self._path, self._selection = Path(settings.file), settings.selection()
        self._stamp = _stamp(self._path)
        self._listed = read_indicators(self._path)

    def see(self, entry: Seen, _state: State) -> Iterator[Found]:
        """The indicators in an entry."""
        if not self._selection.matches(entry.submitter, entry.record):
            return
        found: dict[tuple[str, str], str] = {}
        for where, text in self._texts(entry):
            for indicator in self._listed.found_in(text):
                found.setdefault(indicator, where)
        if found:
            named = [{"kind": kind, "indicator": what, "in": where} for (kind, what), where in found.items()]
            yield Found(entry.seq, "indicator", {"indicators": named[:MAX_NAMED], "number": len(named)})

    def tick(self, _now_us: int, _state: State) -> Iterator[Found]:
        """Read the list again where its file is another one."""
        stamp = _stamp(self._path)
        if stamp != self._stamp:
            self._stamp = stamp
            try:
                self._listed = read_indicators(self._path)
            except LedgerError as error:
                logger.error("the list of indicators stays as it was: %s", error.detail)  # noqa: TRY400 - it says everything
        yield from ()

    def _texts(self, entry: Seen) -> Iterator[tuple[str, str]]:
        """Every text of an entry, with the facet or content it stands in."""
        for facet, value in entry.record.items():
            yield from ((facet, text) for text in texts(value))
        if not self.settings.contents:
            return
        for content in entry.contents:
            value = msgspec.json.decode(content.value)
            yield from ((content.member, text) for text in texts(value))
            if self._listed.digests:
                yield content.member, sha256(content.value).hexdigest()
                if isinstance(value, str):
                    yield content.member, sha256(value.encode("utf-8", "surrogatepass")).hexdigest()


def _fits(kind: str, value: str) -> bool:
    if kind == "literal":
        return len(value) >= MIN_CHARACTERS
    if kind == "domain":
        return _DOMAIN.fullmatch(value.rstrip(".")) is not None
    if kind == "hash":
        return len(value) in DIGESTS.values() and _HEX.fullmatch(value) is not None
    return kind in DIGESTS and len(value) == DIGESTS[kind] and _HEX.fullmatch(value) is not None


def _stamp(path: Path) -> Any:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size
