"""A log's key as a secret in the environment: taken out of it before anything else runs.

What is in the environment is every child's, and stands in `/proc/<pid>/environ` for as long as the process lives, for whoever runs as the same user.
So the text is overwritten where the process was handed it, and the variable is gone before a worker is started.
"""

import os
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

VARIABLE: Final = "AGENT_LEDGER_KEY"
NEXT_VARIABLE: Final = "AGENT_LEDGER_KEY_NEXT"  # while the key is rotated there are two

_taken: dict[str, str] = {}


def take_secrets() -> Mapping[str, str]:
    """The texts of the secret keys that this process was given, by their variables; from now on it alone has them. May be called again."""
    for name in (VARIABLE, NEXT_VARIABLE):
        if (value := os.environ.get(name)) is not None:
            _taken[name] = value
            _overwrite(name)
            del os.environ[name]
    return MappingProxyType(_taken)


def _overwrite(name: str) -> None:
    """The variable's value in the process's own block, which the kernel shows as it is now."""
    import ctypes  # noqa: PLC0415 - most commands have no such secret, and start without it

    getenv = ctypes.CDLL(None).getenv
    getenv.restype = ctypes.c_void_p
    at = getenv(name.encode())
    if at:
        ctypes.memset(at, 0, len(ctypes.string_at(at)))
