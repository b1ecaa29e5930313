import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { type Answer, type Cell, type Problem, type Question, query, type Who } from "../api";
import { COLUMNS, known } from "../columns";
import { told, useKeys, useLoaded } from "../hooks";
import { Evidence } from "../parts/evidence";
import { countsOf, Facets } from "../parts/facets";
import { Histogram } from "../parts/histogram";
import { Pivot, ValueText } from "../parts/pivot";
import { ProblemBox } from "../parts/problem";
import { Seek } from "../parts/seek";
import { counting, listing, telling } from "../sql";
import { count, plain, Time } from "../text";
import { EVERYTHING, formatView, unfiltered, type View } from "../view";

interface Listed {
  rows: Cell[][];
  next: string | undefined;
}

const go = (view: View): void => {
  location.hash = formatView(view);
};

export function Search({ view, who, active, nothing }: { view: View; who: Who; active: boolean; nothing: () => void }) {
  const contents = who.permits.includes("contents");
  const place = formatView(view);
  const bound = formatView({ ...view, columns: [] }); // counts do not depend on which columns are shown
  const counted = useLoaded(bound, async (signal) => countsOf((await query(counting(view, contents), signal)).rows));
  const listed = useLoaded(place, async (signal) => {
    const question = listing(view, contents); // more of its rows are asked for by the same: "the last day" would be another one by then
    return { key: `${place} ${performance.now()}`, view, question, answer: await query(question, signal) };
  });
  const total = counted.value?.get("@all")?.[0]?.[1];
  const open = bound === formatView({ ...EVERYTHING, columns: [] });
  useEffect(() => {
    if (total === 0 && open && active) nothing();
  }, [total, open, active]);
  const left = useRef(0);
  useLayoutEffect(() => {
    if (!active) return;
    scrollTo(0, left.current);
    const scrolled = (): void => {
      left.current = scrollY;
    };
    addEventListener("scroll", scrolled, { passive: true });
    return () => removeEventListener("scroll", scrolled);
  }, [active]);
  const text = useRef<HTMLInputElement>(null);
  useKeys(active ? { "/": () => text.current?.focus() } : {});
  return (
    <main class="search" hidden={!active}>
      <Seek
        field={text}
        text={view.text}
        range={view.range}
        label="Search in names, requests, arguments and results"
        placeholder={contents ? "Search names, requests, arguments, results" : "Search names; contents are not for your role"}
        sought={(sought) => {
          const asked = { ...view, text: sought };
          if (formatView(asked) !== place) return go(asked);
          counted.again();
          listed.again();
        }}
        chosen={(range) => go({ ...view, range })}
      />
      <Chips view={view} />
      <div class="sides">
        <Facets view={view} counts={counted.value} />
        <section class={`found ${counted.busy ? "busy" : ""}`} aria-label="Actions" aria-busy={counted.busy || listed.busy}>
          {counted.problem && <ProblemBox problem={counted.problem} again={counted.again} />}
          {!counted.problem && <Histogram counts={counted.value} brushed={(from, to) => go({ ...view, range: { from, to } })} />}
          <div class="summary">
            <span role="status">
              {total === undefined ? "Counting…" : `${count(total)} ${total === 1 ? "action" : "actions"}`}
              {total !== undefined && <Trouble counts={counted.value} />}
            </span>
            <span class="ways-out">
              <Evidence selection={telling(view, contents)} what={`all entries of ${total === undefined ? "this search" : total === 1 ? "this one action" : `these ${count(total)} actions`}`} who={who} disabled={!total} />
              <ColumnChoice view={view} />
            </span>
          </div>
          {listed.problem && !counted.problem && <ProblemBox problem={listed.problem} again={listed.again} />}
          {listed.value && <Table key={listed.value.key} view={listed.value.view} question={listed.value.question} first={listed.value.answer} active={active} />}
        </section>
      </div>
    </main>
  );
}

function Trouble({ counts }: { counts: ReturnType<typeof countsOf> | undefined }) {
  const n = (counts?.get("@trouble") ?? []).reduce((sum, [, each]) => sum + each, 0);
  return n > 0 ? <span class="trouble"> {count(n)} denied or failed</span> : null;
}

function Chips({ view }: { view: View }) {
  if (view.filters.length === 0 && !view.text) return null;
  return (
    <ul class="chips" aria-label="Filters">
      {view.text && (
        <li>
          contains <b>{plain(view.text)}</b>
          <a href={formatView({ ...view, text: "" })} aria-label="Remove the text">
            ×
          </a>
        </li>
      )}
      {view.filters.map((filter) => {
        const { label } = known(filter.column);
        return (
          <li key={`${filter.column}${filter.not}${filter.value}`} class={filter.not ? "not" : ""}>
            {label} {filter.not ? "is not" : "is"}{" "}
            {filter.value === null ? <em>nothing</em> : <ValueText column={filter.column} value={filter.value} />}
            <a href={formatView({ ...unfiltered(view, filter), filters: [...unfiltered(view, filter).filters, { ...filter, not: !filter.not }] })} aria-label={`Turn around: ${label}`} title={filter.not ? "Only these" : "Without these"}>
              ±
            </a>
            <a href={formatView(unfiltered(view, filter))} aria-label={`Remove: ${label}`}>
              ×
            </a>
          </li>
        );
      })}
      <li class="all">
        <a href={formatView({ ...view, text: "", filters: [] })}>Clear</a>
      </li>
    </ul>
  );
}

function ColumnChoice({ view }: { view: View }) {
  const [open, set] = useState(false);
  return (
    <details class="columns" open={open} onToggle={(event) => set(event.currentTarget.open)}>
      <summary>Columns</summary>
      <fieldset>
        <legend>Columns of the table</legend>
        {open && COLUMNS.map(({ name, label, facet }) => (
          <label key={name}>
            <input
              type="checkbox"
              checked={view.columns.includes(name)}
              onChange={(event) => {
                const rest = view.columns.filter((each) => each !== name);
                const columns = event.currentTarget.checked ? [...rest, name] : rest;
                if (columns.length) go({ ...view, columns });
              }}
            />
            {label} <small>{facet}</small>
          </label>
        ))}
      </fieldset>
    </details>
  );
}

function Table({ view, question, first, active }: { view: View; question: Question; first: Answer; active: boolean }) {
  const [{ rows, next }, set] = useState<Listed>({ rows: first.rows, next: first.next });
  const [problem, refuse] = useState<Problem>();
  const [busy, work] = useState(false);
  const [row, step] = useState(-1);
  const body = useRef<HTMLTableSectionElement>(null);
  const more = (): void => {
    if (!next || busy) return;
    work(true);
    query({ ...question, cursor: next })
      .then(
        (answer) => {
          set({ rows: [...rows, ...answer.rows], next: answer.next });
          refuse(undefined);
        },
        (error) => refuse(told(error)),
      )
      .finally(() => work(false));
  };
  const move = (by: number): void => {
    const to = Math.max(0, Math.min(rows.length - 1, row + by));
    step(to);
    body.current?.querySelectorAll<HTMLAnchorElement>("a.open")[to]?.focus();
  };
  useKeys(active ? { j: () => move(1), k: () => move(-1), ArrowDown: () => move(1), ArrowUp: () => move(-1), m: more } : {});
  useEffect(() => {
    if (active && row >= 0) body.current?.querySelectorAll<HTMLAnchorElement>("a.open")[row]?.focus({ preventScroll: true });
  }, [active]);
  if (rows.length === 0) return <Empty view={view} />;
  return (
    <>
      <div class="table">
        <table>
          <thead>
            <tr>
              <th scope="col">Time (UTC)</th>
              {view.columns.map((name) => (
                <th key={name} scope="col">
                  {known(name).label}
                </th>
              ))}
            </tr>
          </thead>
          <tbody ref={body}>
            {rows.map(([seq, time, trouble, ...cells], index) => (
              <tr key={String(seq)} class={trouble ? "trouble" : ""}>
                <td class="time">
                  <a class="open" href={`#/record/${seq}`} onFocus={() => step(index)}>
                    <Time at={String(time)} />
                  </a>
                </td>
                {cells.map((cell, column) => (
                  <td key={view.columns[column]} data-label={known(view.columns[column]!).label}>
                    {cell === null || cell === undefined ? <span class="none">–</span> : <Pivot column={view.columns[column]!} value={String(cell)} view={view} />}
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {problem && <ProblemBox problem={problem} again={more} />}
      {next && (
        <button type="button" class="next" onClick={more} disabled={busy}>
          {busy ? "Reading…" : `More rows (${count(rows.length)} shown)`}
        </button>
      )}
      <p class="dim small keys">
        <kbd>/</kbd> search <kbd>j</kbd> <kbd>k</kbd> rows <kbd>Enter</kbd> open <kbd>m</kbd> more
      </p>
    </>
  );
}

function Empty({ view }: { view: View }) {
  const limited = "last" in view.range || view.range.from !== null || view.range.to !== null;
  return (
    <div class="nothing">
      <h2>No action fits</h2>
      <p>
        {limited && (
          <a href={formatView({ ...view, range: EVERYTHING.range })}>
            Look at all time
          </a>
        )}
        {view.filters.length > 0 && (
          <a href={formatView({ ...view, filters: [] })}>
            Drop the {view.filters.length === 1 ? "filter" : "filters"}
          </a>
        )}
        {view.text && (
          <a href={formatView({ ...view, text: "" })}>
            Drop the text
          </a>
        )}
      </p>
      <p class="dim small">Text is found where it stands word for word, in capitals or not. What was erased or withheld is not found.</p>
    </div>
  );
}
