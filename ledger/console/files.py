"""What the page is made of: read once, served from a table. Nothing that a request says becomes the name of a file."""

import gzip
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Final

FOLDER: Final = Path(__file__).parent / "static"
PAGE: Final = "index.html"
PATH: Final = "/console"
SESSION: Final = "/console/session"
MEDIA_TYPES: Final[Mapping[str, str]] = MappingProxyType(
    {
        ".html": "text/html; charset=utf-8",
        ".js": "text/javascript; charset=utf-8",
        ".css": "text/css; charset=utf-8",
        ".svg": "image/svg+xml",
    }
)
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'self'; require-trusted-types-for 'script'; trusted-types 'none'"
)
FOR_EVER: Final = "public, max-age=31536000, immutable"
ASK_AGAIN: Final = "no-cache"
_HASHED: Final = re.compile(r"[a-z0-9-]+-[A-Z0-9]{8}\.(js|css|svg)", re.ASCII)
_NOT_BUILT: Final = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><title>Agent Ledger</title><p>The console is not built here. '
    "In a checkout <code>make console</code> builds it; a wheel has it in it.</p></html>\n"
)


@dataclass(frozen=True, slots=True)
class File:
    """One file as it is served.

    Attributes:
        body: its bytes.
        zipped: the same, by gzip.
        media_type: its `Content-Type`.
        cached: its `Cache-Control`.
    """

    body: bytes
    zipped: bytes
    media_type: str
    cached: str


def is_page(path: str) -> bool:
    """Whether what is answered at a path is shown by a browser: it needs `POLICY` then, all else the one that forbids everything."""
    return path == PATH or (path.startswith(f"{PATH}/") and path != SESSION)


@cache
def files() -> Mapping[str, File]:
    """Every file by its name, the page among them; where the console is not built, a page that says so.

    Raises:
        OSError: a file that is there cannot be read.
    """
    return read_files(FOLDER)


def read_files(folder: Path) -> Mapping[str, File]:
    """The files of a folder that have a media type here.

    Raises:
        OSError: one cannot be read.
    """
    there = sorted(folder.iterdir()) if folder.is_dir() else []
    found = {path.name: _file(path.name, path.read_bytes()) for path in there if path.suffix in MEDIA_TYPES}
    if PAGE not in found:
        return MappingProxyType({PAGE: _file(PAGE, _NOT_BUILT.encode())})
    return MappingProxyType(found)


def _file(name: str, body: bytes) -> File:
    cached = FOR_EVER if _HASHED.fullmatch(name) else ASK_AGAIN
    return File(body, gzip.compress(body, mtime=0), MEDIA_TYPES[Path(name).suffix], cached)
