"""An entry of the log for each alert: what was found, and when, is provable, and that it was told is not left to whoever received it.

The entry names the alert, the rule and the entry it is about; never a fact or a content of that entry, which may be erased or retired while the log's own entries
stay. Its id is made of the alert's, so an alert that was recorded before a crash is not recorded again. Rules look at no entry of the log's own.
"""

import logging
import threading
import time
from typing import Any, Final

from ledger.alerts.alert import Alert
from ledger.alerts.state import State
from ledger.core.errors import Code, LedgerError
from ledger.log.log import Log
from ledger.log.plan import Appended
from ledger.records.prepare import own_record

TYPE: Final = "log.alert_raised"
AT_ONCE: Final = 100
AGAIN_S: Final = 10.0  # after the log took none

logger = logging.getLogger(__name__)


class Recorder:
    """Writes what is not in the log yet. A log that takes nothing holds no alert up: it is told without."""

    def __init__(self, log: Log, state: State) -> None:
        self._log, self._state = log, state
        self._not_before = 0.0

    def record(self) -> None:
        """Write what is not there yet.

        Raises:
            LedgerError: `storage-failed`: of the state, not of the log.
        """
        while time.monotonic() >= self._not_before and (alerts := self._state.unrecorded(AT_ONCE)):
            try:
                outcomes = self._append(alerts)
            except LedgerError as error:
                self._give_up_for_now(error)
                return
            for alert, outcome in zip(alerts, outcomes, strict=True):
                if isinstance(outcome, Appended):
                    self._state.recorded(alert.number, outcome.seq)
                elif outcome.code == Code.ID_CONFLICT:  # an earlier life of this alert, which the log has
                    self._state.recorded(alert.number, self._log.find(_record_id(alert)))
                else:
                    self._give_up_for_now(outcome)
                    return

    def _append(self, alerts: list[Alert]) -> list[Appended | LedgerError]:
        settled, outcomes = threading.Event(), list[Appended | LedgerError]()

        def done(results: list[Appended | LedgerError]) -> None:
            outcomes.extend(results)
            settled.set()

        items = [
            own_record(TYPE, _payload(alert), record_id=_record_id(alert), at=alert.at) for alert in alerts
        ]
        self._log.submit(items, atomic=False, done=done)
        settled.wait()
        return outcomes

    def _give_up_for_now(self, error: LedgerError) -> None:
        self._not_before = time.monotonic() + AGAIN_S
        logger.error("alerts are not recorded in the log now: %s", error.detail)


def _record_id(alert: Alert) -> str:
    return f"ledger:{alert.id}"


def _payload(alert: Alert) -> dict[str, Any]:
    return {
        "log.alert": alert.id,
        "log.rule": alert.rule,
        "log.kind": alert.kind,
        "log.severity": alert.severity,
        "log.seq": alert.seq,
        "log.leaf_hash": alert.leaf_hash,
    }
