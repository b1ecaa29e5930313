import { useEffect, useState } from "preact/hooks";
import { follow, type State } from "../follow";
import { ProblemBox } from "../parts/problem";
import { Shown } from "../text";

/** A log without actions: how the first one gets here, and then it is here. It is told over the stream, so that waiting asks nothing of the log. */
export function First() {
  const [state, set] = useState<State>({ at: "connecting" });
  const [turn, next] = useState(0);
  const [time] = useState(() => new Date().toISOString().replace(/\.\d+Z/, "Z")); // the same as long as it is in sight: what is pasted twice is one record
  useEffect(() => {
    const waiting = new AbortController();
    const heard = ({ kind }: { kind: string }): void => {
      if (kind === "record") location.hash = "#/search";
    };
    void follow("from=0&type=action&type=action.*", waiting.signal, heard, (to) => waiting.signal.aborted || set(to));
    return () => waiting.abort();
  }, [turn]);
  const record = {
    type: "action",
    id: "try-1",
    time,
    tool: { name: "send_email", effect: "send", arguments: { to: "ann@example.com" } },
    outcome: { status: "success" },
  };
  const address = location.origin;
  return (
    <main class="first">
      <h1>Nothing is recorded yet</h1>
      <p class="dim" role="status">
        <span class="pulse" aria-hidden="true" />{" "}
        {state.at === "away" ? (
          <>
            Not connected: <Shown text={state.why} />. It is tried again by itself.
          </>
        ) : (
          "Waiting for the first action. This page goes on by itself when it comes."
        )}
      </p>
      {state.at === "refused" && <ProblemBox problem={state.problem} again={() => next(turn + 1)} />}
      <h2>A token that may write</h2>
      <p>On the ledger's machine. It is printed this once; the agent gets it, and no other.</p>
      <pre tabIndex={0}>export AGENT_LEDGER_TOKEN=$(agent-ledger token create my-agent --role writer)</pre>
      <h2>From anywhere</h2>
      <pre tabIndex={0}>{`curl -sS ${address}/v1/records \\
  -H "Authorization: Bearer $AGENT_LEDGER_TOKEN" \\
  -H 'Content-Type: application/json' \\
  -d '${JSON.stringify(record)}'`}</pre>
      <h2>From an agent in Python</h2>
      <pre tabIndex={0}>{`export AGENT_LEDGER_URL=${address}
python - <<'END'
from ledger.client import Ledger

ledger = Ledger(source="my-agent", identity={"agent_id": "my-agent"})

with ledger.action("send_email", arguments={"to": "ann@example.com"}, effect="send") as act:
    act.result = "sent"  # what the tool returns
END`}</pre>
      <h2>From what you have</h2>
      <p>
        OpenTelemetry, MCP, Kubernetes audit logs, CloudEvents and the agent frameworks have ways in of their own: <code>docs/frameworks</code>, <code>docs/telemetry.md</code>,{" "}
        <code>docs/gateway.md</code>.
      </p>
    </main>
  );
}
