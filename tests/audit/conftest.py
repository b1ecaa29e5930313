"""The same logs as in tests/log."""

from tests.log.conftest import data, log

__all__ = ["data", "log"]
