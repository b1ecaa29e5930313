"""One thread for each target: it takes alerts in order, delivers one, then keeps that it was delivered. What a crash cuts in between comes again.

A target that does not answer waits longer each time, and keeps no other waiting. Nothing is given up: what waits is visible.
"""

import logging
import random
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from ledger.alerts.alert import Alert, describe, us_text
from ledger.alerts.outbound import DeliveryError
from ledger.alerts.senders import Sender
from ledger.alerts.settings import RuleSettings, Target
from ledger.alerts.state import State
from ledger.core.errors import LedgerError
from ledger.log.log import Log

FIRST_WAIT_S: Final = 1.0
MAX_WAIT_S: Final = 300.0
LOOK_EVERY_S: Final = 5.0
END_S: Final = 3.0
AT_ONCE: Final = 100

logger = logging.getLogger(__name__)


class Delivery:
    """The thread of one target.

    Attributes:
        failures: attempts that failed since the server started.
        problem: why the last one failed, None where it did not.
        next_try: when it is tried again, seconds since 1970; 0 for now.
    """

    def __init__(
        self,
        target: Target,
        sender: Sender,
        *,
        log: Log,
        state: State,
        rules: Mapping[str, RuleSettings],
        ready: Callable[[], int],
    ) -> None:
        """Nothing happens yet. `ready` tells up to which alert may be delivered."""
        self.target = target
        self.failures, self.next_try = 0, 0.0
        self.problem: str | None = None
        self._sender, self._log, self._state, self._rules, self._ready = sender, log, state, rules, ready
        self._in_a_row = 0
        self._closing, self._woken = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._work, name=f"alerts to {target.name}", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def wake(self) -> None:
        """There may be something new."""
        self._woken.set()

    def close(self) -> None:
        """End it; a receiver that is just answering has a moment, and what it did not take comes again after the next start."""
        self._closing.set()
        self._woken.set()
        if self._thread.ident is not None:
            self._thread.join(END_S)
        self._sender.close()

    def wants(self, rule: str) -> bool:
        """Whether the target is told of this rule's alerts; of a rule that is gone it is."""
        settings = self._rules.get(rule)
        return settings is None or settings.targets is None or self.target.name in settings.targets

    def _work(self) -> None:
        while not self._closing.is_set():
            try:
                while self._some():
                    pass
                self._woken.wait(LOOK_EVERY_S)
                self._woken.clear()
            except Exception as error:  # noqa: BLE001 - whatever it was: the next attempt may do
                if self._closing.is_set():
                    return
                self._failed(error)

    def _some(self) -> bool:
        """Deliver what waits, in order; whether there may be more."""
        alerts = [
            each for each in self._state.next_for(self.target.name, AT_ONCE) if each.number <= self._ready()
        ]
        for alert in alerts:
            if self._closing.is_set():
                return False
            told = self.wants(alert.rule)
            if told:
                self._sender.send(self._body(alert))
            self._state.heard(self.target.name, alert.number, us_text(time.time_ns() // 1_000), int(told))
            if told:
                self._in_a_row, self.problem, self.next_try = 0, None, 0.0
        return len(alerts) == AT_ONCE

    def _body(self, alert: Alert) -> dict[str, Any]:
        settings = self._rules.get(alert.rule)
        return describe(self._log, alert, tuple(settings.include) if settings else ())

    def _failed(self, error: Exception) -> None:
        self.failures += 1
        self._in_a_row += 1
        expected = isinstance(error, DeliveryError | LedgerError)
        self.problem = str(error) if expected else type(error).__name__
        if not expected:
            logger.error("an alert to %s met an error of the ledger's own", self.target.name, exc_info=error)
        elif self._in_a_row == 1:
            logger.error("alerts do not reach %s and wait: %s", self.target.name, self.problem)
        wait_s = min(FIRST_WAIT_S * 2 ** min(self._in_a_row - 1, 16), MAX_WAIT_S) * random.uniform(0.5, 1)  # noqa: S311 - so that targets do not come back together
        if isinstance(error, DeliveryError) and error.retry_after_s is not None:
            wait_s = max(wait_s, error.retry_after_s)
        self.next_try = time.time() + wait_s
        self._closing.wait(wait_s)
