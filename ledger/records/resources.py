"""Finds the project's `schemas/` and `queries/`, and its page, in a checkout and in an installed wheel alike."""

import json
from pathlib import Path
from typing import Any

_PACKAGE = Path(__file__).resolve().parent.parent


def _folder(name: str) -> Path:
    installed = _PACKAGE / "_data" / name
    return installed if installed.is_dir() else _PACKAGE.parent / name


def schema_path(name: str) -> Path:
    """Path of one file of `schemas/`."""
    return _folder("schemas") / name


def schema_text(name: str) -> str:
    """Text of one file of `schemas/`, for example `tables.sql`."""
    return schema_path(name).read_text(encoding="utf-8")


def schema_json(name: str) -> dict[str, Any]:
    """One JSON file of `schemas/`, parsed."""
    parsed: dict[str, Any] = json.loads(schema_text(name))
    return parsed


def view_names() -> list[str]:
    """Names of the views of `schemas/views/` that are described there, by name."""
    return sorted(path.stem for path in (_folder("schemas") / "views").glob("*.sql"))


def verifying_page() -> bytes:
    """The page that verifies evidence files: docs/evidence.md."""
    return (_PACKAGE / "core" / "verify.html").read_bytes()


def query_files() -> list[Path]:
    """Paths of the named queries of `queries/`, by name."""
    return sorted(_folder("queries").glob("*.sql"))
