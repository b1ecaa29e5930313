"""agent-governance-toolkit-core: its audit log in memory and with its file sink, the file sink alone, its flight recorder."""

import json
import secrets
import threading
from contextlib import contextmanager
from pathlib import Path

from agent_control_plane.flight_recorder import FlightRecorder
from agentmesh.governance.audit import AuditEntry, AuditLog
from agentmesh.governance.audit_backends import FileAuditSink

from benchmarks.peers.feeding import Facts, Lines, Plan, main


def told(record: dict) -> dict:
    return {
        "event_type": record["type"],
        "agent_did": record["identity"]["agent_id"],
        "action": record["tool"]["name"],
        "resource": record["resource"]["id"],
        "data": record,
        "outcome": record["outcome"]["status"],
        "policy_decision": record["policy"]["effect"],
        "trace_id": record["trace"]["trace_id"],
    }


@contextmanager
def in_memory(folder: Path, plan: Plan, facts: Facts):  # noqa: ARG001
    yield logged(AuditLog())


@contextmanager
def with_file(folder: Path, plan: Plan, facts: Facts):  # noqa: ARG001
    sink = FileAuditSink(folder / "audit.jsonl", secrets.token_bytes(32))
    yield logged(AuditLog(sink=sink))
    sink.close()


def logged(log: AuditLog):
    alone = threading.Lock()  # its chain has none of its own

    def write(lines: Lines) -> None:
        with alone:
            for line in lines:
                log.log(**told(json.loads(line)))

    return write


@contextmanager
def file_alone(folder: Path, plan: Plan, facts: Facts):  # noqa: ARG001
    sink = FileAuditSink(folder / "audit.jsonl", secrets.token_bytes(32))
    yield lambda lines: sink.write_batch([AuditEntry(**told(json.loads(line))) for line in lines])
    sink.close()


@contextmanager
def recorder(folder: Path, plan: Plan, facts: Facts):
    """One action is a trace begun and its success; batches of 100 by default, each write by itself where `plan` says so."""
    flight = FlightRecorder(str(folder / "flight.db"), enable_batching="each" not in plan.form)
    alone = threading.Lock()  # its chain has none of its own
    facts["writes_each"] = 2

    def write(lines: Lines) -> None:
        for record in map(json.loads, lines):
            with alone:
                trace = flight.start_trace(
                    record["identity"]["agent_id"],
                    record["tool"]["name"],
                    record,
                    record["request"]["text"],
                )
                flight.log_success(trace, record["outcome"]["result"], 1.2)

    yield write
    flight.close()


if __name__ == "__main__":
    main(
        {
            "in memory": in_memory,
            "file sink": with_file,
            "file sink alone": file_alone,
            "flight recorder": recorder,
            "flight recorder, each": recorder,
        }
    )
