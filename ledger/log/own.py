"""The log's own records: everything that changes what the log means is an entry too."""

from typing import Any

from ledger.records.prepare import own_record
from ledger.records.prepared import Prepared

OWN_SUBMITTER = "log"


def own_submission(record_type: str, ext: dict[str, Any]) -> Prepared:
    """A `log.*` record, ready for the sequencer. Its payload stands in `ext` under keys that begin with `log.`."""
    return own_record(record_type, ext)
