"""Alerts of one server, put together: what the file says, the engine, a delivery for each target."""

import time
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Final

from ledger.alerts.alert import ID_PREFIX, us_text
from ledger.alerts.delivery import Delivery
from ledger.alerts.engine import Engine
from ledger.alerts.indicators import Indicated
from ledger.alerts.outbound import DeliveryError
from ledger.alerts.rules import DoneAfterDenial, Matching, Rule, SeenFirst, WithoutOutcome
from ledger.alerts.senders import sender_of
from ledger.alerts.settings import (
    DeniedThenDone,
    FirstSeen,
    Indicators,
    Match,
    NoOutcome,
    RuleSettings,
    Settings,
    StandingQuery,
)
from ledger.alerts.standing import Ask, Standing
from ledger.alerts.state import State
from ledger.core.errors import Code, LedgerError
from ledger.log.log import Log

SHOWN: Final = 100


class Alerts:
    """The rules and targets of one server. `start` begins, `close` ends."""

    def __init__(self, settings: Settings, log: Log, data: Path) -> None:
        """Read what the settings name: lists, secrets, authorities.

        Args:
            settings: rules and targets.
            log: what is watched.
            data: the data folder, where it is remembered what was seen and told.

        Raises:
            LedgerError: `alerts-file`, `storage-failed`.
        """
        rules: list[Rule] = []
        standing: list[Standing] = []
        for rule in settings.rule:
            if isinstance(rule, StandingQuery):
                standing.append(Standing(rule))
            else:
                rules.append(rule_of(rule, log))
        senders = [(target, sender_of(target, log.origin)) for target in settings.target]
        self._log, self._state = log, State(data)
        by_name = {rule.name: rule for rule in settings.rule}
        self._settings: Mapping[str, RuleSettings] = by_name
        self._engine = Engine(log, self._state, rules, standing, self._wake)
        self._deliveries = [
            Delivery(target, sender, log=log, state=self._state, rules=by_name, ready=self._ready)
            for target, sender in senders
        ]

    def start(self, ask: Ask) -> None:
        """Begin where the last life ended; `ask` asks named queries.

        Raises:
            LedgerError: `storage-failed`.
        """
        self._state.keep_targets([each.target.name for each in self._deliveries])
        self._engine.start(ask)
        for delivery in self._deliveries:
            delivery.start()

    def close(self) -> None:
        """End everything. What is not delivered waits for the next start."""
        self._engine.close()
        for delivery in self._deliveries:
            delivery.close()
        self._state.close()

    def status(self) -> dict[str, Any]:
        """How far rules and targets are, and the newest alerts, for people and programs; no contents, no addresses, no secrets."""
        size, newest, progress = self._log.head().size, self._engine.ready, self._state.rules()
        heard = self._state.targets()
        return {
            "rules": [
                {
                    "name": name,
                    "kind": rule.kind,
                    "severity": rule.severity,
                    "raised": progress[name].raised,
                    "position": progress[name].position,
                    "behind": max(0, size - progress[name].position)
                    if not isinstance(rule, StandingQuery)
                    else 0,
                }
                for name, rule in self._settings.items()
                if name in progress
            ],
            "targets": [
                {
                    "name": each.target.name,
                    "kind": each.target.kind,
                    "delivered": heard[each.target.name].delivered,
                    "delivered_at": heard[each.target.name].delivered_at,
                    "waiting": max(0, newest - heard[each.target.name].position),
                    "missed": heard[each.target.name].missed,
                    "failures": each.failures,
                    "problem": each.problem,
                    "next_try": us_text(int(each.next_try * 1e6)) if each.problem else None,
                }
                for each in self._deliveries
                if each.target.name in heard
            ],
            "failed": self._engine.failed,
            "alerts": [alert._asdict() for alert in self._state.shown(SHOWN)],
        }

    def _ready(self) -> int:
        return self._engine.ready

    def _wake(self) -> None:
        for delivery in self._deliveries:
            delivery.wake()


def rule_of(settings: RuleSettings, log: Log) -> Rule:
    """What looks at entries for these settings.

    Raises:
        LedgerError: `alerts-file`: a list that it needs is no good.
    """
    match settings:
        case FirstSeen():
            return SeenFirst(settings)
        case DeniedThenDone():
            return DoneAfterDenial(settings, log)
        case Indicators():
            return Indicated(settings)
        case NoOutcome():
            return WithoutOutcome(settings)
        case Match():
            return Matching(settings)
    raise LedgerError(Code.ALERTS_FILE, f"the rule {settings.name} is of no kind that looks at entries")


def send_test(settings: Settings, names: Collection[str] = ()) -> dict[str, str | None]:
    """Send one alert that says that it is a test, to these targets or to all. Why it did not arrive, by target; None where it did.

    Raises:
        LedgerError: `alerts-file`.
    """
    now = us_text(time.time_ns() // 1_000)
    results: dict[str, str | None] = {}
    for target in settings.target:
        if names and target.name not in names:
            continue
        sender = sender_of(target, "test")
        body = {
            "id": f"{ID_PREFIX}test-{time.time_ns()}",
            "rule": "test",
            "kind": "test",
            "severity": "informational",
            "raised_at": now,
            "log": "test",
            "seq": 0,
            "leaf_hash": "0" * 64,
            "because": {"test": True},
            "recorded_in": None,
        }
        try:
            sender.send(body)
            results[target.name] = None
        except DeliveryError as error:
            results[target.name] = str(error)
        finally:
            sender.close()
    return results
