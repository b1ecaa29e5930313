import { useState } from "preact/hooks";
import { type Answer, type Cell, Problem, type Who } from "../api";
import { type Asked, type Asking, FORMS, type Form, nextRows, PROOFS, saveAnswer } from "../asking";
import { isNumber, kindsOf, type Plan, planned, possible, readPlan, speaks, writePlan } from "../chart";
import { told, useLeaving } from "../hooks";
import { count, duration, plain, Shown, short } from "../text";
import { resaid } from "../view";
import { CellValue, placesOf } from "./cell";
import { Chart } from "./chart";
import { Evidence } from "./evidence";
import { ProblemBox } from "./problem";

const SHOWN_ROWS = 100;
const MORE_ROWS = 300;

/** What became of a question: how far it is, its answer with what that stands on, or why there is none. */
export function Outcome({ state, query, who, cancel, again }: { state: Asking; query: URLSearchParams; who: Who; cancel: () => void; again: () => void }) {
  if (state.at === "idle") return null;
  if (state.at === "running") return <Progress state={state} cancel={cancel} />;
  if (state.at === "cancelled") return <p class="dim said" role="status">Cancelled after {state.seconds.toFixed(1)} s: nothing of it is left on the ledger but the entry that says so.</p>;
  if (state.at === "refused") return <ProblemBox problem={state.problem} {...(retried(state.problem) && { again })} />;
  return <Result key={state.turn} asked={state.asked} answer={state.answer} query={query} who={who} />;
}

const retried = ({ status, code }: Problem): boolean => status === 0 || status === 429 || status >= 500 || code === "query-killed";

function Progress({ state, cancel }: { state: Asking & { at: "running" }; cancel: () => void }) {
  const { waiting, fraction } = state;
  return (
    <div class="progress" role="status">
      <progress aria-label="How far it is" {...(fraction !== null && { value: fraction })} />
      <span>{waiting ? "Waiting: others are asking" : fraction !== null ? `${Math.round(fraction * 100)} %` : "Asking…"}</span>
      <button type="button" onClick={cancel}>
        Cancel
      </button>
    </div>
  );
}

/** The picture is what the address says, `query`; else the usual one, where it says more than the table. */
function Result({ asked, answer: first, query, who }: { asked: Asked; answer: Answer; query: URLSearchParams; who: Who }) {
  const [answer, set] = useState(first);
  const [shown, show] = useState(SHOWN_ROWS);
  const [problem, refuse] = useState<Problem>();
  const [busy, work] = useState(false);
  const leaving = useLeaving();
  const [usual] = possible(kindsOf(answer));
  const drawable = answer.rows.length > 0 && usual !== undefined;
  const said = drawable ? readPlan(query, answer) : null;
  const plan = said === undefined ? (speaks(first) ? planned(usual!, answer) : null) : said;
  const draw = (next: Plan | null): void => location.replace(resaid((now) => writePlan(now, next, answer)));
  const more = (): void => {
    if (shown < answer.rows.length) return show(shown + MORE_ROWS);
    work(true);
    nextRows(asked, answer.next!, leaving)
      .then(
        ({ rows, truncated, next }) => {
          const { next: _, ...rest } = answer;
          set({ ...rest, rows: [...answer.rows, ...rows], truncated, ...(next !== undefined && { next }) });
          show(shown + MORE_ROWS);
          refuse(undefined);
        },
        (error) => refuse(told(error)),
      )
      .finally(() => work(false));
  };
  return (
    <section class="result" aria-label="Answer">
      <div class="about">
        <p role="status">
          <b>
            {count(answer.rows.length)} {answer.rows.length === 1 ? "row" : "rows"}
          </b>
          {answer.truncated && <span class="warn">, and there are more</span>} <StandsOn answer={answer} />
        </p>
        {drawable && (
          <button type="button" aria-pressed={plan !== null} onClick={() => draw(plan ? null : planned(usual!, answer))}>
            Chart
          </button>
        )}
        <Save asked={asked} answer={answer} />
        {proven(answer) && who.permits.includes("read") && answer.rows.length > 0 && (
          <Evidence
            selection={{ ...(asked.name === undefined ? { sql: asked.sql } : { query: asked.name }), parameters: asked.parameters }}
            what="the entries that the rows of this answer name, asked again now"
            who={who}
          />
        )}
      </div>
      {plan && <Chart answer={answer} plan={plan} set={draw} />}
      {problem && <ProblemBox problem={problem} again={more} />}
      {answer.rows.length === 0 ? <p class="nothing dim">No row fits.</p> : <Rows answer={answer} shown={shown} who={who} />}
      {(shown < answer.rows.length || answer.next) && (
        <button type="button" class="next" onClick={more} disabled={busy}>
          {busy ? "Reading…" : `More rows (${count(Math.min(shown, answer.rows.length))} of ${answer.next ? "more than " : ""}${count(answer.rows.length)} shown)`}
        </button>
      )}
    </section>
  );
}

/** The size and root of the log that the answer is of. */
function StandsOn({ answer }: { answer: Answer }) {
  return (
    <span class="dim">
      in {duration(answer.seconds * 1e9)}, of the log's first <b>{count(answer.size)}</b> entries, root <code title={answer.root}>{short(answer.root)}</code>
      {answer.behind !== undefined && <span class="warn">, {count(answer.behind)} behind: they come too fast to be within it</span>}
    </span>
  );
}

/** Whether it names entries, which can be proved. */
const proven = ({ columns }: Answer): boolean => columns.some(({ name }) => name === "seq" || name === "seqs");

function Save({ asked, answer }: { asked: Asked; answer: Answer }) {
  const [said, tell] = useState("");
  const [problem, refuse] = useState<Problem>();
  const leaving = useLeaving();
  const saved = (form: Form): void => {
    tell("Asking…");
    refuse(undefined);
    saveAnswer(asked, answer.size, form, leaving).then(
      ({ rows, cut }) => tell(`${count(rows)} rows saved${cut ? "; there are more than an answer holds" : ""}`),
      (error) => {
        tell("");
        refuse(told(error));
      },
    );
  };
  return (
    <div class="save">
      <span class="dim">Save</span>
      {[...FORMS, ...(proven(answer) ? [PROOFS] : [])].map((form) => (
        <button key={form.label} type="button" onClick={() => saved(form)}>
          {form.label}
        </button>
      ))}
      <span class="dim small" role="status">
        {said}
      </span>
      {problem && <ProblemBox problem={problem} />}
    </div>
  );
}

function Rows({ answer: { columns, rows }, shown, who }: { answer: Answer; shown: number; who: Who }) {
  const places = placesOf(columns);
  return (
    <div class="table grid" tabIndex={0} role="region" aria-label="Rows">
      <table>
        <thead>
          <tr>
            {columns.map(({ name, type }, index) => (
              <th key={index} scope="col" class={isNumber(type) ? "number" : ""}>
                <Shown text={name} /> <small title={plain(type)}>{shortType(type)}</small>
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.slice(0, shown).map((row, index) => (
            <tr key={index}>
              {columns.map((column, place) => (
                <td key={place} class={isNumber(column.type) ? "number" : /[\])]$|JSON/.test(column.type) ? "deep" : ""} data-label={plain(column.name)}>
                  <CellValue column={column} place={places.has(column.name)} value={row[place] ?? null} commitment={commitmentOf(columns, row, column.name)} who={who} />
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

/** Where a value is not to be seen, or gone: what stays of it, if the answer has it. */
function commitmentOf(columns: Answer["columns"], row: Cell[], name: string): string | undefined {
  const value = row[columns.findIndex((each) => each.name === `${name}_commitment`)];
  return typeof value === "string" ? value : undefined;
}

function shortType(type: string): string {
  if (type.endsWith("]")) return "list";
  if (type.startsWith("TIMESTAMP")) return "time";
  if (type === "VARCHAR") return "text";
  return /^\w*INT(EGER)?$/.test(type) ? "integer" : plain(type.replace(/\(.*$/s, "").toLowerCase());
}
