import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { type Cell, type Entry, entry, Problem, query, type Who } from "../api";
import { COLUMNS, type Facet } from "../columns";
import { useKeys, useLoaded } from "../hooks";
import { Evidence, type Selection } from "../parts/evidence";
import { named, Pivot } from "../parts/pivot";
import { ProblemBox } from "../parts/problem";
import { oneAction } from "../sql";
import { plain, pretty, Shown, short, Time } from "../text";
import { sessionAt } from "../view";

type Row = Record<string, Cell>;

interface Told {
  facet: Facet;
  title: string;
  asks: string;
  texts: string[];
}

// As it is told: who wanted it and what was decided; what was done and what came of it; as whom, to what, and who let it pass.
const STACKS: Told[][] = [
  [
    { facet: "request", title: "Request", asks: "Who asked", texts: ["request_text"] },
    { facet: "decision", title: "Decision", asks: "What was decided", texts: ["decision_reason", "decision_prompt", "decision_output"] },
  ],
  [
    { facet: "tool", title: "Tool", asks: "What was done", texts: ["tool_arguments"] },
    { facet: "outcome", title: "Outcome", asks: "What came of it", texts: ["outcome_result"] },
  ],
  [
    { facet: "identity", title: "Identity", asks: "By whom", texts: [] },
    { facet: "resource", title: "Resource", asks: "To what", texts: [] },
    { facet: "policy", title: "Policy", asks: "What policy said", texts: ["policy_input"] },
    { facet: "approval", title: "Approval", asks: "Who approved", texts: ["approval_shown"] },
    { facet: "trace", title: "Trace", asks: "Where it belongs", texts: [] },
  ],
];
const EXTRA: Readonly<Partial<Record<Facet, string[]>>> = {
  tool: ["tool_facts"],
  identity: ["identity_actors", "identity_credential", "identity_scopes"],
  trace: ["trace_derived_from"],
};
const MEMBERS: Readonly<Record<string, string>> = {
  request_text: "Words",
  decision_reason: "Reason",
  decision_prompt: "Prompt",
  decision_output: "Output",
  tool_arguments: "Arguments",
  policy_input: "Input",
  approval_shown: "Shown",
  outcome_result: "Result",
};

export function Record({ seq, who }: { seq: number; who: Who }) {
  const stored = useLoaded(`entry ${seq}`, (signal) => entry(seq, signal));
  const joined = useLoaded(`action ${seq}`, async (signal) => {
    const { columns, rows } = await query(oneAction(seq), signal);
    const [row] = rows;
    return row && (Object.fromEntries(columns.map(({ name }, index) => [name, row[index] ?? null])) as Row);
  });
  useKeys({ Escape: () => history.back() });
  const top = useRef<HTMLElement>(null);
  useEffect(() => {
    scrollTo(0, 0);
    top.current?.focus({ preventScroll: true });
  }, []);
  const action = joined.value;
  return (
    <main class="record" ref={top} tabIndex={-1}>
      <a class="back" href="#/search" onClick={(event) => history.length > 1 && (event.preventDefault(), history.back())}>
        ← Back
      </a>
      {stored.problem && <Missing problem={stored.problem} seq={seq} />}
      {stored.value && <Title stored={stored.value} action={action} />}
      {joined.problem && <ProblemBox problem={joined.problem} again={joined.again} />}
      {action && <Action action={action} who={who} />}
      {stored.value && (
        <>
          {!action && !joined.busy && !joined.problem && <p class="dim">This entry tells of no action: it is the log's own, a note, or telemetry of one that another entry names.</p>}
          <Raw stored={stored.value} action={action} who={who} />
        </>
      )}
    </main>
  );
}

function Missing({ problem, seq }: { problem: Problem; seq: number }) {
  return (
    <>
      <h1>Record {seq}</h1>
      <ProblemBox problem={problem} />
    </>
  );
}

function Title({ stored, action }: { stored: Entry; action: Row | undefined }) {
  const type = String(stored.entry.record.type ?? "");
  const tool = action?.tool_name;
  const { type: kind, id } = (stored.entry.record.resource ?? {}) as { type?: string; id?: string };
  const inCase = type === "note" && kind === "case" ? id : undefined;
  return (
    <header class="title">
      <h1>
        {tool ? (
          <span class="name">
            <Shown text={String(tool)} />
          </span>
        ) : (
          <Shown text={type} />
        )}
        {["tool_effect", "policy_effect", "approval_outcome", "outcome_status"].map(
          (name) => action?.[name] && <Pivot key={name} column={name} value={String(action[name])} />,
        )}
      </h1>
      <p class="dim">
        Record {stored.seq} · <Time at={String(stored.entry.record.time ?? stored.recorded_at)} /> by its source, recorded <Time at={stored.recorded_at} /> from{" "}
        <Pivot column="submitter" value={stored.submitter} />
      </p>
      {action && <Leads action={action} />}
      {action && <Stages action={action} />}
      <p class="small">
        {inCase === undefined ? (
          <a href={`#/cases?entry=${stored.seq}`}>Note it in a case</a>
        ) : (
          <a href={`#/cases/${encodeURIComponent(inCase)}`}>
            The case <Shown text={inCase} />
          </a>
        )}
      </p>
    </header>
  );
}

/** What this record is a part of. */
function Leads({ action }: { action: Row }) {
  return (
    <nav class="leads" aria-label="Around this record">
      {action.session_id && <a href={sessionAt(String(action.session_id), String(action.submitter))}>Its session</a>}
      <a href={`#/flows/${action.seq}`}>What went into it, and on from it</a>
      <a href={`#/delegation/${action.seq}`}>Who acted for whom</a>
    </nav>
  );
}

function Stages({ action }: { action: Row }) {
  const stages = Array.isArray(action.stages) ? action.stages.map(String) : [];
  const missing = Array.isArray(action.facets_missing) ? action.facets_missing.map(String) : [];
  const conflicts = Array.isArray(action.conflicts) ? action.conflicts.map(String) : [];
  return (
    <ul class="notes">
      {stages.length > 1 && (
        <li>
          Joined of {stages.length} records:{" "}
          {stages.map((each) => (
            <code key={each}>
              <Shown text={each} />
            </code>
          ))}
        </li>
      )}
      {String(action.first_seq) !== String(action.last_seq) && (
        <li>
          <a href={`#/record/${action.first_seq}`}>first record</a> · <a href={`#/record/${action.last_seq}`}>last record</a>
        </li>
      )}
      {missing.length > 0 && <li class="warn">Nothing tells: {missing.join(", ")}</li>}
      {conflicts.length > 0 && (
        <li class="bad">
          Its records disagree on: <Shown text={conflicts.join(", ")} />
        </li>
      )}
    </ul>
  );
}

function Action({ action, who }: { action: Row; who: Who }) {
  const seen = who.permits.includes("contents");
  return (
      <div class="stacks">
        {STACKS.map((cards) => (
          <div class="stack" key={cards[0]!.facet}>
            {cards.map((each) => (
              <Card key={each.facet} {...each} action={action} seen={seen} />
            ))}
          </div>
        ))}
      </div>
  );
}

function Card({ facet, title, asks, texts, action, seen }: Told & { action: Row; seen: boolean }) {
  const rule = rules(action)[facet];
  const rows: ComponentChildren[] = [];
  for (const { name, label } of COLUMNS.filter((each) => each.facet === facet && each.name !== "submitter")) {
    const value = valueOf(action, name);
    if (value === null || (name === "identity_agent_name" && value === valueOf(action, "agent"))) continue;
    rows.push(
      <div class="row" key={name}>
        <dt>{label}</dt>
        <dd>
          <Pivot column={name} value={value} {...(named(name, value) !== value && { label: named(name, value) })} />
        </dd>
      </div>,
    );
  }
  for (const name of EXTRA[facet] ?? []) {
    const value = action[name];
    if (value === null || value === undefined) continue;
    rows.push(
      <div class="row" key={name}>
        <dt>{label(name)}</dt>
        <dd>
          <Text text={JSON.stringify(value, null, 2)} />
        </dd>
      </div>,
    );
  }
  const told = texts.map((name) => <Content key={name} name={name} action={action} seen={seen} />);
  const empty = rows.length === 0 && texts.every((name) => (action[name] ?? action[`${name}_commitment`] ?? null) === null);
  return (
    <section class={`card ${facet} ${empty ? "empty" : ""}`} aria-label={title}>
      <h2>
        {asks} <small title="The rule that brought it here: docs/queries.md">{rule && rule !== "record" ? `by ${rule}` : ""}</small>
      </h2>
      {empty ? <p class="dim">Nothing tells.</p> : <dl>{rows}</dl>}
      {told}
    </section>
  );
}

function Content({ name, action, seen }: { name: string; action: Row; seen: boolean }) {
  const value = action[name] ?? null;
  const commitment = action[`${name}_commitment`] ?? null;
  if (value === null && commitment === null) return null;
  return (
    <div class="content">
      <h3>{MEMBERS[name]}</h3>
      {value !== null ? (
        <Text text={pretty(String(value))} />
      ) : (
        <p class="dim gone">
          {seen ? "Withheld or erased." : "Not for your role."} Its commitment stays: <code title={String(commitment)}>{short(String(commitment), 16)}</code>
        </p>
      )}
    </div>
  );
}

function Text({ text }: { text: string }) {
  return (
    <pre class="text" tabIndex={0}>
      <Shown text={text} lines />
    </pre>
  );
}

/** This entry and those that tell of the same action. */
function selected(stored: Entry, action: Row | undefined): Selection {
  if (!action || action.action_id === null) return { seqs: [stored.seq] };
  const seqs = [stored.seq, action.seq, action.first_seq, action.last_seq].map(Number);
  return {
    sql: `SELECT seq FROM records WHERE action_id = $action OR seq IN (${seqs.map((_, index) => `$seq${index}`).join(", ")})`,
    parameters: { action: String(action.action_id), ...Object.fromEntries(seqs.map((seq, index) => [`seq${index}`, seq])) },
  };
}

function Raw({ stored, action, who }: { stored: Entry; action: Row | undefined; who: Who }) {
  return (
    <section class="raw" aria-label="Proof and raw entry">
      <h2>Proof</h2>
      <dl>
        <dt>Id</dt>
        <dd class="name">
          <Shown text={stored.id} />
        </dd>
        <dt>Leaf hash</dt>
        <dd class="name">{stored.leaf_hash}</dd>
        <dt>Proof</dt>
        <dd>
          <a href={`#/prove/${stored.seq}`}>Prove it in this browser</a>
        </dd>
        <dt>Receipt</dt>
        <dd>
          <a href={`/v1/entries/${stored.seq}/receipt?entry=true`} download={`entry-${stored.seq}.receipt`}>
            Save the receipt
          </a>{" "}
          <span class="dim">
            then offline: <code>agent-ledger receipt check entry-{stored.seq}.receipt</code>
          </span>
        </dd>
        <dt>Evidence</dt>
        <dd>
          <Evidence selection={selected(stored, action)} what={action ? "all entries of this action" : `entry ${stored.seq}`} who={who} />
        </dd>
        {(["hidden", "withheld", "erased"] as const).map(
          (how) =>
            stored[how].length > 0 && [
              <dt key={how}>{how === "hidden" ? "Not for your role" : how === "erased" ? "Erased" : "Withheld"}</dt>,
              <dd key={`${how} which`}>
                <Shown text={stored[how].join(", ")} />
              </dd>,
            ],
        )}
      </dl>
      <details>
        <summary>Raw entry, as it is signed</summary>
        <Text text={JSON.stringify(stored.entry, null, 2)} />
      </details>
      {stored.contents.length > 0 && (
        <details>
          <summary>Contents, with their salts</summary>
          {stored.contents.map(({ member, value, salt }) => (
            <div class="content" key={member}>
              <h3>
                <Shown text={member} /> <small title={plain(`salt ${salt}`)}>salt {short(salt, 8)}</small>
              </h3>
              <Text text={value} />
            </div>
          ))}
        </details>
      )}
    </section>
  );
}

function rules(action: Row): Row {
  const found = action.joined_by;
  return found !== null && typeof found === "object" && !Array.isArray(found) ? found : {};
}

function valueOf(action: Row, name: string): string | null {
  const direct = name === "agent" ? (action.identity_agent_id ?? action.identity_agent_name) : (action[name] ?? action[`${name}_commitment`]);
  return direct === null || direct === undefined ? null : String(direct);
}

const label = (name: string): string => name.slice(name.indexOf("_") + 1).replaceAll("_", " ").replace(/^./, (first) => first.toUpperCase());
