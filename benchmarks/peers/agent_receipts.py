"""agent-receipts: each record a signed receipt, chained, put into the package's SQLite store, in process.

The package means a daemon to sign; that is a program of another language and not on PyPI. What the daemon would add is a socket.
"""

import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

from agent_receipts import ActionInput, Issuer, Outcome, Principal, generate_key_pair, hash_receipt
from agent_receipts.receipt_chain import ChainEmitInput, ReceiptChain
from agent_receipts.store import ReceiptStore

from benchmarks.peers.feeding import Facts, Lines, Plan, main


class Stored:
    """An emitter, as `ReceiptChain` wants one, that keeps receipts in the package's store."""

    def __init__(self, path: Path) -> None:
        self.store = ReceiptStore(str(path))

    def emit(self, receipt) -> None:
        self.store.insert(receipt, hash_receipt(receipt))


def told(line: bytes) -> ChainEmitInput:
    """A receipt names the parameters' hash and an action's target; the rest of the record is in the response."""
    record = json.loads(line)
    return ChainEmitInput(
        issuer=Issuer(id=f"did:agent:{record['identity']['agent_id']}"),
        principal=Principal(id=f"did:user:{record['request']['user']}"),
        action=ActionInput(
            type="financial.payment.initiate",
            risk_level="high",
            target={"system": record["tool"]["server"], "resource": record["resource"]["id"]},
            parameters_hash=f"sha256:{sha256(line).hexdigest()}",
        ),
        outcome=Outcome(status="success"),
        response_body=record,
    )


@contextmanager
def receipts(folder: Path, plan: Plan, facts: Facts):  # noqa: ARG001
    with ThreadPoolExecutor(1) as thread:  # its SQLite connection belongs to the thread that made it
        emitter = thread.submit(Stored, folder / "receipts.db").result()
        chain = ReceiptChain(
            chain_id="bench",
            private_key=generate_key_pair().private_key,
            verification_method="did:agent:bench#key-1",
            emitter=emitter,
        )

        def all_of(lines: Lines) -> None:
            for line in lines:
                chain.emit(told(line))

        yield lambda lines: thread.submit(all_of, lines).result()
        thread.submit(emitter.store.close).result()


if __name__ == "__main__":
    main({"store": receipts})
