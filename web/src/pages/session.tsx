import { useEffect, useMemo, useState } from "preact/hooks";
import type { Who } from "../api";
import { useLoaded } from "../hooks";
import type { PageProps } from "../pages";
import { Evidence } from "../parts/evidence";
import { Pivot, ValueText } from "../parts/pivot";
import { ProblemBox } from "../parts/problem";
import { delegatedIn, entriesOf, FLOWS_AT_ONCE, head, number, type Row, rowsOf, sessionFlows, steps as asked, STEPS_AT_ONCE, text, texts, type Which } from "../story/ask";
import { Delegation } from "../story/delegation";
import { Flows } from "../story/flows";
import { type Gap, Lanes, long, type Zoom } from "../story/lanes";
import { many, MARKS, type Step, stepsOf } from "../story/step";
import { sessionAt } from "../view";
import { count, pretty, Shown, short, Time } from "../text";

const TABS = { "": "In time", flows: "Flows", delegation: "Delegation" } as const;
const ROWS = 200;

/** One session: who asked for what, every action on its lane, what flowed where, who acted for whom. */
export function Session({ at, query, who }: PageProps) {
  const which: Which = { id: at[0]!, by: query.get("by") };
  const tab = Object.keys(TABS).find((name) => name === query.get("tab")) ?? "";
  const key = JSON.stringify(which);
  const known = useLoaded(`head ${key}`, (signal) => rowsOf(head(which), signal));
  useEffect(() => scrollTo(0, 0), [key]);
  const rows = known.value?.rows;
  return (
    <main class="page story session">
      <a class="back" href="#/sessions">
        ← Sessions
      </a>
      <h1 class="name">
        <Shown text={which.id} />
      </h1>
      {known.problem && <ProblemBox problem={known.problem} again={known.again} />}
      {rows?.length === 0 && (
        <p class="dim">
          No session has this id{which.by !== null && " from this submitter"}. <a href="#/sessions">To the sessions</a>
        </p>
      )}
      {rows?.map((row) => <Head key={String(row.submitter)} row={row} several={rows.length > 1} />)}
      {rows && rows.length > 0 && (
        <>
          <nav class="tabs" aria-label="Of this session">
            {Object.entries(TABS).map(([name, label]) => (
              <a key={name} href={sessionAt(which.id, which.by, name)} aria-current={name === tab ? "page" : undefined}>
                {label}
              </a>
            ))}
            <span class="away">
              <Evidence selection={entriesOf(which)} what="all entries of this session" who={who} />
            </span>
          </nav>
          {tab === "" && <InTime key={key} which={which} heads={rows} query={query} />}
          {tab === "flows" && <SessionFlows which={which} who={who} />}
          {tab === "delegation" && <SessionDelegation which={which} />}
        </>
      )}
    </main>
  );
}

function Head({ row, several }: { row: Row; several: boolean }) {
  const request = text(row, "request_text");
  const n = (name: string): number => number(row, name) ?? 0;
  const missing = gapsOf([row]).reduce((sum, gap) => sum + gap.missing, 0);
  return (
    <header class="told">
      <p class="dim">
        <Time at={String(row.first_time)} />
        {n("actions") > 0 && ` · lasted ${long(Math.max((Date.parse(String(row.last_time)) - Date.parse(String(row.first_time))) * 1000, 0))}`}
        {" · asked by "}
        {texts(row, "users").length
          ? texts(row, "users").slice(0, 4).map((user) => <Pivot key={user} column="request_user" value={user} {...(/^[0-9a-f]{64}$/.test(user) && { label: short(user) })} />)
          : "nobody named"}
        {several && (
          <>
            {" · told by "}
            <a href={sessionAt(String(row.session_id), String(row.submitter))}>
              <Shown text={String(row.submitter)} />
            </a>
          </>
        )}
        {" · "}
        {texts(row, "models").length > 0 && <Shown text={texts(row, "models").slice(0, 3).join(", ")} />}
      </p>
      {request !== null ? (
        <blockquote tabIndex={0}>
          <Shown text={pretty(request)} lines />
        </blockquote>
      ) : (
        row.request_text_commitment && <p class="dim">What the user said is not for your role, withheld or erased.</p>
      )}
      <ul class="counters" aria-label="Counts">
        <Tile n={n("actions")} label="actions" />
        <Tile n={n("denied")} label="denied" tone="bad" />
        <Tile n={n("failed")} label="failed" tone="bad" />
        <Tile n={n("not_observed")} label="without outcome" tone="warn" />
        <Tile n={n("untrusted_reads")} label="untrusted reads" tone="warn" />
        <Tile n={n("consequences")} label="consequences" />
        <Tile n={n("consequences_after_untrusted")} label="of them after untrusted" tone="bad" />
        {missing > 0 && <Tile n={missing} label="records never arrived" tone="bad" />}
      </ul>
    </header>
  );
}

function Tile({ n, label, tone = "" }: { n: number; label: string; tone?: string }) {
  return (
    <li class={n > 0 ? tone : "zero"}>
      <b>{count(n)}</b> <span>{label}</span>
    </li>
  );
}

function gapsOf(heads: Row[]): Gap[] {
  return heads.flatMap(({ gaps }) =>
    (Array.isArray(gaps) ? gaps : []).flatMap((gap) =>
      gap !== null && typeof gap === "object" && !Array.isArray(gap)
        ? [{ source: String(gap.source), missing: Number(gap.missing), after: Number(gap.after), before: Number(gap.before) }]
        : [],
    ),
  );
}

function InTime({ which, heads, query }: { which: Which; heads: Row[]; query: URLSearchParams }) {
  const [cursors, turn] = useState<string[]>([]);
  const cursor = cursors.at(-1);
  const listed = useLoaded(`steps ${JSON.stringify(which)} ${cursor}`, (signal) => rowsOf({ ...asked(which), ...(cursor !== undefined && { cursor }) }, signal));
  const { steps, late } = useMemo(() => stepsOf(listed.value?.rows ?? []), [listed.value]);
  const [zoom, set] = useState<Zoom>(parseZoom(query));
  const zoomed = (next: Zoom): void => {
    set(next);
    const [path = "", said = ""] = location.hash.split(/\?(.*)/s);
    const now = new URLSearchParams(said);
    now.delete("zoom");
    if (next) now.set("zoom", next.map((us) => Math.round(us)).join("-"));
    history.replaceState(history.state, "", `${path}${now.size ? `?${now}` : ""}`);
  };
  if (listed.problem) return <ProblemBox problem={listed.problem} again={listed.again} />;
  if (!listed.value) return <p class="dim">Reading…</p>;
  if (steps.length === 0) return <p class="dim">Nothing was done in it: its records only tell what was said.</p>;
  const total = heads.reduce((sum, row) => sum + (number(row, "actions") ?? 0), 0);
  const before = cursors.length * STEPS_AT_ONCE;
  const exposed = heads.map((row) => number(row, "untrusted_us")).filter((us) => us !== null);
  const seen = zoom ? steps.filter((step) => step.to >= zoom[0] && step.from <= zoom[1]) : steps;
  return (
    <>
      {(listed.value.next !== undefined || cursors.length > 0) && (
        <p class="part warn">
          Actions {count(before + 1)} to {count(before + steps.length)} of {count(total)}.{" "}
          {cursors.length > 0 && (
            <button type="button" onClick={() => (zoomed(null), turn(cursors.slice(0, -1)))}>
              The {count(STEPS_AT_ONCE)} before
            </button>
          )}{" "}
          {listed.value.next !== undefined && (
            <button type="button" onClick={() => (zoomed(null), turn([...cursors, listed.value!.next!]))}>
              The next {count(STEPS_AT_ONCE)}
            </button>
          )}
        </p>
      )}
      {late && <p class="dim small">Most of it was recorded more than 5 minutes after its own time: imported, or kept in a spool. Single actions are not marked late for it.</p>}
      <Lanes steps={steps} gaps={gapsOf(heads)} untrusted={exposed.length ? Math.min(...exposed) : null} zoom={zoom} zoomed={zoomed} />
      <StepTable key={`${zoom}`} steps={seen} all={steps.length} />
    </>
  );
}

function parseZoom(query: URLSearchParams): Zoom {
  const found = /^(\d{1,17})-(\d{1,17})$/.exec(query.get("zoom") ?? "");
  return found && Number(found[1]) < Number(found[2]) ? [Number(found[1]), Number(found[2])] : null;
}

function StepTable({ steps, all }: { steps: Step[]; all: number }) {
  const [shown, more] = useState(ROWS);
  return (
    <>
      <div class="summary">
        <span role="status">
          {many(steps.length, "action")}
          {steps.length < all && <span class="dim"> of {count(all)}, in what is looked at</span>}
        </span>
      </div>
      <div class="table">
        <table>
          <thead>
            <tr>
              <th scope="col">Time (UTC)</th>
              <th scope="col" class="number">After</th>
              {["Agent", "Tool", "Resource", "Policy", "Approval", "Outcome"].map((name) => (
                <th key={name} scope="col">
                  {name}
                </th>
              ))}
              <th scope="col" class="number">Took</th>
              <th scope="col">What stands out</th>
            </tr>
          </thead>
          <tbody>
            {steps.slice(0, shown).map((step, index) => (
              <StepRow key={step.seq} step={step} after={index > 0 ? step.from - steps[index - 1]!.from : null} />
            ))}
          </tbody>
        </table>
      </div>
      {steps.length > shown && (
        <button type="button" class="next" onClick={() => more(shown + ROWS)}>
          More rows ({count(shown)} of {count(steps.length)} shown)
        </button>
      )}
    </>
  );
}

function StepRow({ step, after }: { step: Step; after: number | null }) {
  const { row, marks } = step;
  const cell = (column: string, label: string, value: string | null) => (
    <td data-label={label}>{value === null ? <span class="none">–</span> : <Pivot column={column} value={value} />}</td>
  );
  const out = marks.filter((mark) => mark !== "denied" && mark !== "failed" && mark !== "approved");
  return (
    <tr class={marks.includes("denied") || marks.includes("failed") ? "trouble" : ""}>
      <td class="time">
        <a class="open" href={`#/record/${step.seq}`}>
          <Time at={new Date(step.from / 1000).toISOString()} />
        </a>
      </td>
      <td class="number dim" data-label="After">
        {after === null || after === 0 ? <span class="none">–</span> : `+${long(after)}`}
      </td>
      {cell("agent", "Agent", text(row, "agent"))}
      {cell("tool_name", "Tool", text(row, "tool_name"))}
      {cell(String(row.resource_column), "Resource", text(row, "resource"))}
      {cell("policy_effect", "Policy", text(row, "policy_effect"))}
      <td data-label="Approval">{text(row, "approval_outcome") === null ? <span class="none">–</span> : <ValueText column="approval_outcome" value={text(row, "approval_outcome")!} />}</td>
      {cell("outcome_status", "Outcome", text(row, "outcome_status"))}
      <td class="number dim" data-label="Took">
        {step.to > step.from ? long(step.to - step.from) : <span class="none">–</span>}
      </td>
      <td data-label="Stands out">
        {out.map((mark) => (
          <span key={mark} class={`tag ${mark === "open" || mark === "late" || mark === "untrusted" ? "warn" : ""}`} title={MARKS[mark]}>
            {mark === "consequence" ? text(row, "tool_effect") : mark === "open" ? "no outcome" : mark}
          </span>
        ))}
        {out.length === 0 && <span class="none">–</span>}
      </td>
    </tr>
  );
}

function SessionFlows({ which, who }: { which: Which; who: Who }) {
  const found = useLoaded(`flows ${JSON.stringify(which)}`, (signal) => rowsOf(sessionFlows(which), signal));
  if (found.problem) return <ProblemBox problem={found.problem} again={found.again} />;
  if (!found.value) return <p class="dim">Comparing words…</p>;
  return (
    <>
      {found.value.next !== undefined && <p class="warn">The first {count(FLOWS_AT_ONCE)} flows; there are more.</p>}
      <Flows rows={found.value.rows} session={which.id} who={who} />
    </>
  );
}

function SessionDelegation({ which }: { which: Which }) {
  const found = useLoaded(`delegation ${JSON.stringify(which)}`, (signal) => rowsOf(delegatedIn(which), signal));
  if (found.problem) return <ProblemBox problem={found.problem} again={found.again} />;
  if (!found.value) return <p class="dim">Reading…</p>;
  return (
    <>
      {found.value.next !== undefined && <p class="warn">Of the first {count(STEPS_AT_ONCE)} actions; there are more.</p>}
      <Delegation rows={found.value.rows} />
    </>
  );
}

