import { useEffect, useRef, useState } from "preact/hooks";
import { log, type Who } from "../api";
import { type Event, follow, type State } from "../follow";
import { told, useKeys } from "../hooks";
import type { PageProps } from "../pages";
import { ProblemBox } from "../parts/problem";
import { BAD, ValueText } from "../parts/pivot";
import { Table } from "../parts/table";
import { Head, Name } from "../parts/ways";
import { count, plain, Shown, Time } from "../text";

const KEPT = 500; // lines; the log has the others
const BEFORE = 100; // of what was there already
const DRAW_MS = 150;
const FILTERS = ["type", "agent", "tool", "resource", "effect", "policy", "outcome", "submitter", "conversation"] as const;
const CHOICES: Readonly<Record<string, readonly string[]>> = {
  effect: ["read", "create", "update", "delete", "execute", "send", "pay", "delegate"],
  policy: ["allow", "deny", "require_approval", "not_evaluated", "error"],
  outcome: ["success", "failure", "denied", "timeout", "cancelled", "unknown"],
};
const LABELS: Readonly<Record<string, string>> = {
  type: "Type",
  agent: "Agent",
  tool: "Tool",
  resource: "Resource",
  effect: "Effect",
  policy: "Policy",
  outcome: "Outcome",
  submitter: "Submitter",
  conversation: "Conversation",
};

interface Line {
  seq: number;
  at: string;
  submitter: string;
  type: string;
  agent: string | null;
  tool: string | null;
  resource: string | null;
  policy: string | null;
  outcome: string | null;
  bad: boolean; // denied, rejected, failed, timed out
}

/** What came, bounded; while it is paused what comes waits beside it. */
class Tail {
  lines: Line[] = []; // the newest first
  waiting: Line[] = [];
  came = 0;
  aside = 0; // came, and is not what is looked for here
  meanwhile = 0;
  paused = false;

  add(line: Line): void {
    this.came += 1;
    if (this.paused) this.meanwhile += 1;
    const to = this.paused ? this.waiting : this.lines;
    to.unshift(line);
    if (to.length > KEPT) to.length = KEPT;
  }

  pause(paused: boolean): void {
    this.paused = paused;
    if (paused) return;
    this.lines = [...this.waiting, ...this.lines].slice(0, KEPT);
    this.waiting = [];
    this.meanwhile = 0;
  }
}

/** Records as they come. The stream filters by names; a text, what went well and the log's own entries are sorted out here, and counted. */
export function Live({ query, who }: PageProps) {
  const place = query.toString();
  return <Following key={place} query={query} who={who} />;
}

function Following({ query, who }: { query: URLSearchParams; who: Who }) {
  const tail = useRef(new Tail());
  const [, draw] = useState(0);
  const [state, set] = useState<State>({ at: "connecting" });
  useEffect(() => {
    const ending = new AbortController();
    const drawing = setInterval(() => draw(tail.current.came + tail.current.aside), DRAW_MS);
    const text = (query.get("q") ?? "").toLowerCase();
    const heard = (event: Event): void => {
      const said = JSON.parse(event.data) as Members;
      const line = event.kind === "record" ? read(said) : retired(said);
      const own = line.submitter === "log" && !query.has("own");
      if (own || (query.has("bad") && !line.bad) || (text && !texts([facet(facet(said, "entry"), "record"), said.submitter]).some((each) => each.toLowerCase().includes(text)))) tail.current.aside += 1;
      else tail.current.add(line);
    };
    void begin(query).then(
      (asked) => follow(asked, ending.signal, heard, (to) => ending.signal.aborted || set(to)),
      (error: unknown) => ending.signal.aborted || set({ at: "refused", problem: told(error) }),
    );
    return () => {
      ending.abort();
      clearInterval(drawing);
    };
  }, []);
  const pause = (): void => {
    tail.current.pause(!tail.current.paused);
    draw(-tail.current.came - tail.current.aside - 1);
  };
  useKeys({ p: pause });
  const { lines, paused, meanwhile, came, aside } = tail.current;
  return (
    <main class="page work live">
      <Head here="#/live" title="Live" who={who}>
        Records as they come, each durable and signed for before it is shown. Following asks nothing of the log: no entry is written for it.
      </Head>
      <Filters query={query} />
      <div class="bar">
        <Told state={state} paused={paused} meanwhile={meanwhile} />
        <span class="dim">
          {count(came)} came{came > KEPT && `, the newest ${count(KEPT)} are kept here`}
          {aside > 0 && ` · ${count(aside)} more did not fit`}
        </span>
        <button type="button" onClick={pause} aria-pressed={paused}>
          {paused ? "Go on" : "Pause"} <kbd>p</kbd>
        </button>
      </div>
      {state.at === "refused" && <ProblemBox problem={state.problem} again={() => location.reload()} />}
      {lines.length > 0 && <Lines lines={lines} />}
      {lines.length === 0 && state.at !== "refused" && (
        <div class="nothing">
          <h2>Nothing has come yet</h2>
          <p class="dim">{query.size > 0 ? "Of what the filters keep. Others may be coming." : "The next record shows up by itself."}</p>
        </div>
      )}
    </main>
  );
}

async function begin(query: URLSearchParams): Promise<string> {
  const { size } = await log();
  const asked = new URLSearchParams({ from: String(Math.max(0, size - BEFORE)) });
  for (const name of FILTERS) {
    for (const value of query.getAll(name)) if (value) asked.append(name, value);
  }
  return asked.toString();
}

type Members = { [name: string]: unknown };
const facet = (record: Members, name: string): Members => (record[name] ?? {}) as Members;
const text = (value: unknown): string | null => (value === undefined || value === null ? null : String(value));

function read(said: Members): Line {
  const record = facet(facet(said, "entry"), "record");
  const identity = facet(record, "identity");
  const resource = facet(record, "resource");
  const policy = text(facet(record, "policy").effect);
  const outcomes = [text(facet(record, "outcome").status), text(facet(record, "approval").outcome)];
  return {
    seq: Number(said.seq),
    at: String(said.recorded_at),
    submitter: String(said.submitter),
    type: String(record.type),
    agent: text(identity.agent_id ?? identity.agent_name),
    tool: text(facet(record, "tool").name),
    resource: text(resource.id ?? resource.name ?? resource.destination),
    policy,
    outcome: outcomes.find((each) => each !== null) ?? null,
    bad: [policy, ...outcomes].some((each) => each !== null && BAD.has(each)),
  };
}

const retired = ({ seq }: Members): Line => ({ seq: Number(seq), at: "", submitter: "", type: "retired", agent: null, tool: null, resource: null, policy: null, outcome: null, bad: false });

/** Every text in it, as it is and not as JSON spells it. */
function texts(value: unknown): string[] {
  if (typeof value === "object" && value !== null) return Object.values(value).flatMap(texts);
  return typeof value === "string" ? [value] : typeof value === "number" ? [String(value)] : [];
}

function Told({ state, paused, meanwhile }: { state: State; paused: boolean; meanwhile: number }) {
  const [now, tick] = useState(Date.now());
  useEffect(() => {
    if (state.at !== "away") return;
    const timer = setInterval(() => tick(Date.now()), 1_000);
    return () => clearInterval(timer);
  }, [state]);
  const away = state.at === "away";
  return (
    <span role="status" class={`following ${state.at}`}>
      <i class={state.at === "following" && !paused ? "pulse" : "still"} />
      {paused && <b>Paused{meanwhile > 0 && `: ${count(meanwhile)} more came`}</b>}
      {!paused && state.at === "following" && <b>Following</b>}
      {state.at === "connecting" && <b>Connecting…</b>}
      {away && (
        <>
          <b>Not connected</b>: <Shown text={state.why} />. Again in {Math.max(0, Math.ceil((state.again - now) / 1000))} s, where it was.
        </>
      )}
      {state.at === "refused" && <b>Refused</b>}
    </span>
  );
}

function Filters({ query }: { query: URLSearchParams }) {
  const submitted = (event: SubmitEvent): void => {
    event.preventDefault();
    const given = new URLSearchParams();
    for (const [name, value] of new FormData(event.currentTarget as HTMLFormElement)) {
      if (typeof value === "string" && value.trim()) given.append(name, value.trim());
    }
    location.hash = given.size > 0 ? `#/live?${given}` : "#/live";
  };
  return (
    <form class="filters" onSubmit={submitted} aria-label="Filters">
      <label class="wide">
        Text
        <input name="q" type="search" defaultValue={query.get("q") ?? ""} spellcheck={false} placeholder="in what is signed" />
      </label>
      {FILTERS.map((name) => (
        <label key={name}>
          {LABELS[name]}
          {CHOICES[name] ? (
            <select name={name} defaultValue={query.get(name) ?? ""}>
              <option value="">any</option>
              {[...new Set([...CHOICES[name]!, ...query.getAll(name)])].map((value) => (
                <option key={value} value={value} selected={query.get(name) === value}>
                  {plain(value)}
                </option>
              ))}
            </select>
          ) : (
            <input name={name} defaultValue={query.get(name) ?? ""} spellcheck={false} placeholder={name === "type" ? "action.*" : "any"} />
          )}
        </label>
      ))}
      <label class="check">
        <input name="bad" value="1" type="checkbox" defaultChecked={query.has("bad")} /> only denied or failed
      </label>
      <label class="check">
        <input name="own" value="1" type="checkbox" defaultChecked={query.has("own")} /> the log's own entries
      </label>
      <button type="submit" class="main">
        Follow
      </button>
    </form>
  );
}

function Lines({ lines }: { lines: Line[] }) {
  return (
    <Table columns={["Recorded (UTC)", "Type", "Agent", "Tool", "Resource", "Policy", "Outcome", "Submitter"]}>
      {lines.map((each) => (
        <tr key={each.seq} class={each.bad ? "trouble" : ""}>
          <td class="time">
            <a href={`#/record/${each.seq}`}>{each.at ? <Time at={each.at} /> : `entry ${each.seq}`}</a>
          </td>
          <td data-label="Type">
            <Name text={each.type} />
          </td>
          {(["agent", "tool", "resource"] as const).map((name) => (
            <td key={name} data-label={LABELS[name]}>
              <Name text={each[name]} />
            </td>
          ))}
          {([["policy", "policy_effect"], ["outcome", "outcome_status"]] as const).map(([name, column]) => (
            <td key={name} data-label={LABELS[name]}>
              {each[name] ? <ValueText column={column} value={each[name]} /> : <Name text={null} />}
            </td>
          ))}
          <td data-label="Submitter">
            <Name text={each.submitter} />
          </td>
        </tr>
      ))}
    </Table>
  );
}
