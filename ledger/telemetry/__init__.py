"""What the ledger says about itself: numbers for `/metrics`, traces and metrics by OTLP where that is configured, log lines.

None of it ever carries content, persons or tokens: counts, sizes, codes and durations are all that leaves here.
"""

from ledger.telemetry.logs import configure_logging
from ledger.telemetry.telemetry import METRICS_TYPE, Telemetry

__all__ = ["METRICS_TYPE", "Telemetry", "configure_logging"]
