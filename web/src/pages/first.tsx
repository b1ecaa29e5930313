import { useEffect, useState } from "preact/hooks";
import { firstAction, type Problem } from "../api";
import { told } from "../hooks";
import { ProblemBox } from "../parts/problem";

/** A log without actions: how the first one gets here, and then it is here. */
export function First() {
  const [problem, set] = useState<Problem>();
  const [turn, next] = useState(0);
  useEffect(() => {
    const waiting = new AbortController();
    set(undefined);
    firstAction(waiting.signal).then(
      () => {
        location.hash = "#/search";
      },
      (error) => waiting.signal.aborted || set(told(error)),
    );
    return () => waiting.abort();
  }, [turn]);
  const record = {
    type: "action",
    id: "try-1",
    time: new Date().toISOString().replace(/\.\d+Z/, "Z"),
    tool: { name: "send_email", effect: "send", arguments: { to: "ann@example.com" } },
    outcome: { status: "success" },
  };
  const address = location.origin;
  return (
    <main class="first">
      <h1>Nothing is recorded yet</h1>
      <p class="dim" role="status">
        <span class="pulse" aria-hidden="true" /> Waiting for the first action. This page goes on by itself when it comes.
      </p>
      {problem && <ProblemBox problem={problem} again={() => next(turn + 1)} />}
      <h2>From anywhere</h2>
      <pre tabIndex={0}>{`curl -sS ${address}/v1/records \\
  -H "Authorization: Bearer $AGENT_LEDGER_TOKEN" \\
  -H 'Content-Type: application/json' \\
  -d '${JSON.stringify(record)}'`}</pre>
      <h2>From an agent in Python</h2>
      <pre tabIndex={0}>{`export AGENT_LEDGER_URL=${address}
export AGENT_LEDGER_TOKEN=…      # agent-ledger token create my-agent --role writer

from ledger.client import Ledger

ledger = Ledger(source="my-agent", identity={"agent_id": "my-agent"})

with ledger.action("send_email", arguments={"to": "ann@example.com"}, effect="send") as act:
    act.result = send_email("ann@example.com")`}</pre>
      <h2>From what you have</h2>
      <p>
        OpenTelemetry, MCP, Kubernetes audit logs, CloudEvents and the agent frameworks have ways in of their own: <code>docs/frameworks</code>, <code>docs/telemetry.md</code>,{" "}
        <code>docs/gateway.md</code>.
      </p>
    </main>
  );
}
