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
import { many, MARKS, some, type Step, stepsOf } from "../story/step";
import { resaid, sessionAt } from "../view";
import { count, pretty, Shown, short, Time } from "../text";

const TABS = { "": "In time", flows: "Flows", delegation: "Delegation" } as const;
const ROWS = 200;

/** One session: who asked for what, every action on its lane, what flowed where, who acted for whom. */
export function Session({ at, query, who }: PageProps) {
  const which: Which = { id: at[0]!, by: query.get("by") };
  return <One key={JSON.stringify(which)} which={which} query={query} who={who} />;
}

function One({ which, query, who }: { which: Which; query: URLSearchParams; who: Who }) {
  const tab = Object.keys(TABS).find((name) => name === query.get("tab")) ?? "";
  const known = useLoaded("head", (signal) => rowsOf(head(which), signal));
  useEffect(() => scrollTo(0, 0), []);
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
      {known.value?.next !== undefined && <p class="warn">More credentials than these {count(rows!.length)} wrote under this id.</p>}
      {rows && rows.length > 1 && <p class="dim small">Several credentials wrote under this id. Whether they mean the same session nobody knows: what each told is told apart.</p>}
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
          {tab === "" && <InTime which={which} heads={rows} query={query} />}
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
  const [users, models] = [texts(row, "users"), texts(row, "models")];
  return (
    <header class="told">
      <p class="dim">
        <Time at={String(row.first_time)} />
        {n("actions") > 0 && ` · lasted ${long(Math.max((Date.parse(String(row.last_time)) - Date.parse(String(row.first_time))) * 1000, 0))}`}
        {" · asked by "}
        {users.length ? users.slice(0, 4).map((user) => <Pivot key={user} column="request_user" value={user} {...(/^[0-9a-f]{64}$/.test(user) && { label: short(user) })} />) : "nobody named"}
        {users.length > 4 && ` and ${count(users.length - 4)} more`}
        {n("gone") > 0 && ` and ${many(n("gone"), "other")}, withheld or erased`}
        {several && (
          <>
            {" · told by "}
            <a href={sessionAt(String(row.session_id), String(row.submitter))}>
              <Shown text={String(row.submitter)} />
            </a>
          </>
        )}
        {models.length > 0 && [" · ", <Shown key="models" text={some(models, 3)} />]}
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
        <Tile n={n("open")} label="without outcome" tone="warn" />
        <Tile n={n("untrusted_reads")} label="untrusted reads" tone="warn" />
        <Tile n={n("consequences")} label="consequences" />
        <Tile n={n("consequences_after_untrusted")} label="of them after untrusted" tone="bad" />
        {n("missing") > 0 && <Tile n={n("missing")} label="records never arrived" tone="bad" />}
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
  const part = Number(/^[1-9]\d{0,5}$/.exec(query.get("part") ?? "")?.[0] ?? 1) - 1;
  const several = heads.length > 1;
  const listed = useLoaded(`steps ${part}`, async (signal) => ({ part, ...(await rowsOf(asked(which, part), signal)) }));
  const { steps, late } = useMemo(() => stepsOf(listed.value?.rows ?? [], several), [listed.value]);
  const zoom = parseZoom(query);
  const zoomed = (next: Zoom): void =>
    location.replace(
      resaid((said) => {
        said.delete("zoom");
        if (next) said.set("zoom", next.map((us) => Math.round(us)).join("-"));
      }),
    );
  const turn = (to: number): void => {
    location.hash = resaid((said) => {
      said.delete("zoom"); // that part's own
      said.delete("part");
      if (to > 0) said.set("part", String(to + 1));
    });
  };
  if (listed.problem) return <ProblemBox problem={listed.problem} again={listed.again} />;
  if (listed.value?.part !== part) return <p class="dim">Reading…</p>;
  if (steps.length === 0 && part > 0) {
    return (
      <p class="dim">
        It has no action so far on. <a href={sessionAt(which.id, which.by)}>To its beginning</a>
      </p>
    );
  }
  if (steps.length === 0) return <p class="dim">Nothing was done in it: its records only tell what was said.</p>;
  const total = heads.reduce((sum, row) => sum + (number(row, "actions") ?? 0), 0);
  const gaps = gapsOf(heads);
  const holes = heads.reduce((sum, row) => sum + (number(row, "holes") ?? 0), 0);
  const before = part * STEPS_AT_ONCE;
  const exposed = heads.map((row) => number(row, "untrusted_us")).filter((us) => us !== null);
  const seen = zoom ? steps.filter((step) => step.to >= zoom[0] && step.from <= zoom[1]) : steps;
  return (
    <>
      {(listed.value.next !== undefined || part > 0) && (
        <p class="part warn">
          Actions {count(before + 1)} to {count(before + steps.length)} of {count(total)}.
          <button type="button" disabled={part === 0} onClick={() => turn(part - 1)}>
            The {count(STEPS_AT_ONCE)} before
          </button>
          <button type="button" disabled={listed.value.next === undefined} onClick={() => turn(part + 1)}>
            The next {count(STEPS_AT_ONCE)}
          </button>
          {total > 2 * STEPS_AT_ONCE && (
            <select aria-label="Which part" value={String(part)} onChange={(event) => turn(Number(event.currentTarget.value))}>
              {Array.from({ length: Math.ceil(total / STEPS_AT_ONCE) }, (_, each) => (
                <option key={each} value={each}>
                  from {count(each * STEPS_AT_ONCE + 1)} on
                </option>
              ))}
            </select>
          )}
        </p>
      )}
      {late && <p class="dim small">Most of it was recorded more than 5 minutes after its own time: imported, or kept in a spool. Single actions are not marked late for it.</p>}
      {holes > gaps.length && (
        <p class="dim small">
          Sources left out numbers in {count(holes)} places. The first {count(gaps.length)} of them are hatched in the picture.
        </p>
      )}
      <Lanes steps={steps} gaps={gaps} untrusted={exposed.length ? Math.min(...exposed) : null} zoom={zoom} zoomed={zoomed} />
      {seen.length === 0 && <p class="warn">Nothing happened in the time that is looked at. The picture above can show the whole.</p>}
      <StepTable key={`${zoom}`} steps={seen} all={steps.length} several={several} />
    </>
  );
}

function parseZoom(query: URLSearchParams): Zoom {
  const found = /^(-?\d{1,18})-(-?\d{1,18})$/.exec(query.get("zoom") ?? "");
  return found && Number(found[1]) < Number(found[2]) ? [Number(found[1]), Number(found[2])] : null;
}

function StepTable({ steps, all, several }: { steps: Step[]; all: number; several: boolean }) {
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
              {[...(several ? ["Told by"] : []), "Agent", "Tool", "Resource", "Policy", "Approval", "Outcome"].map((name) => (
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
              <StepRow key={step.seq} step={step} several={several} after={index > 0 ? step.from - steps[index - 1]!.from : null} />
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

function StepRow({ step, after, several }: { step: Step; after: number | null; several: boolean }) {
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
      {several && cell("submitter", "Told by", text(row, "submitter"))}
      {cell("agent", "Agent", text(row, "agent"))}
      {cell("tool_name", "Tool", text(row, "tool_name"))}
      {cell("resource", "Resource", text(row, "resource"))}
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
  const found = useLoaded("flows", (signal) => rowsOf(sessionFlows(which), signal));
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
  const found = useLoaded("delegation", (signal) => rowsOf(delegatedIn(which), signal));
  if (found.problem) return <ProblemBox problem={found.problem} again={found.again} />;
  if (!found.value) return <p class="dim">Reading…</p>;
  return (
    <>
      {found.value.next !== undefined && <p class="warn">Of the first {count(STEPS_AT_ONCE)} actions; there are more.</p>}
      <Delegation rows={found.value.rows} />
    </>
  );
}

