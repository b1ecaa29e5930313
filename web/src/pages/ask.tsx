import type { EditorView } from "@codemirror/view";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import type { Value, Who } from "../api";
import { type Asked, type Asking, useAsking } from "../asking";
import { type Draft, draftOf, isSize, placeOf } from "../askplace";
import { pictureIn } from "../chart";
import { useLoaded } from "../hooks";
import type { PageProps } from "../pages";
import { type Given, likely, parametersOf, valueOf } from "../parameters";
import { AskNav } from "../parts/asknav";
import { Editor } from "../parts/editor";
import { Fields } from "../parts/fields";
import { ProblemBox } from "../parts/problem";
import { Outcome } from "../parts/result";
import { Tables } from "../parts/tables";
import { tablesFor } from "../schema";
import { count, Shown } from "../text";

const START = `SELECT tool_name, outcome_status, count(*) AS actions
FROM actions
GROUP BY ALL
ORDER BY actions DESC`;
const KEPT = 50;

// What was written and asked in this tab, by whoever is signed in: in memory alone, since it has an investigator's words in it.
const drafts = new WeakMap<Who, Draft>();
const histories = new WeakMap<Who, string[]>();

export function Ask({ query, who }: PageProps) {
  const said = query.toString();
  const told = useMemo(() => draftOf(query), [said]);
  const [draft, set] = useState<Draft>(told ?? drafts.get(who) ?? { sql: START, given: {}, asOf: "" });
  const now = useRef(draft);
  now.current = draft;
  const place = told ? placeOf(told) : "#/ask";
  const { state, run, cancel } = useAsking(who, place);
  const tables = useLoaded("schema", () => tablesFor(who));
  const editor = useRef<EditorView>(null);
  const [turn, next] = useState(0);
  useEffect(() => {
    if (!told || placeOf(told) === placeOf(now.current)) return;
    set(told);
    next(turn + 1);
  }, [place]);
  const write = (next: Draft): void => {
    drafts.set(who, next);
    set(next);
  };
  const names = useMemo(() => parametersOf(draft.sql), [draft.sql]);
  const givenOf = (name: string): Given => (Object.hasOwn(draft.given, name) ? draft.given[name]! : { kind: likely(name), text: "" });
  const missing = names.filter((name) => valueOf(givenOf(name)) === undefined);
  const wrongSize = draft.asOf !== "" && !isSize(draft.asOf);
  const ready = draft.sql.trim() !== "" && missing.length === 0 && !wrongSize;
  const asked = (): void => {
    if (!ready) return;
    const parameters: Record<string, Value> = Object.fromEntries(names.map((name) => [name, valueOf(givenOf(name))!]));
    const whole: Draft = { ...draft, given: Object.fromEntries(names.map((name) => [name, givenOf(name)])) };
    const at = placeOf(whole);
    const question: Asked = { sql: draft.sql, parameters, asOf: draft.asOf === "" ? undefined : Number(draft.asOf) };
    histories.set(who, [at, ...(histories.get(who) ?? []).filter((each) => each !== at)].slice(0, KEPT));
    drafts.set(who, whole);
    run(question, at);
    location.hash = at === place ? `${at}${pictureIn(query)}` : at;
  };
  const wrong = placeOfProblem(state, draft.sql);
  return (
    <main class="page asks">
      <AskNav here="#/ask" />
      <div class="bench">
        <details class="schema" open={matchMedia("(min-width: 56rem)").matches}>
          <summary>Tables and columns</summary>
          {tables.problem && <ProblemBox problem={tables.problem} again={tables.again} />}
          {tables.value && <Tables tables={tables.value} write={(name) => insert(editor.current, name)} />}
        </details>
        <div class="work">
          <Editor
            text={draft.sql}
            turn={turn}
            changed={(sql) => write({ ...now.current, sql })}
            run={asked}
            tables={tables.value ?? []}
            wrong={wrong}
            reach={(view) => {
              editor.current = view;
            }}
          />
          <Fields names={names} given={givenOf} changed={(name, given) => write({ ...draft, given: { ...draft.given, [name]: given } })} />
          <div class="doing">
            <button type="button" class="main" onClick={asked} disabled={!ready || state.at === "running"}>
              Run
            </button>
            <span class="dim small">
              <kbd>Ctrl</kbd> <kbd>Enter</kbd>
            </span>
            <label class="as-of" title="Answer as when the log had so many entries">
              as of size
              <input value={draft.asOf} inputMode="numeric" placeholder="now" aria-invalid={wrongSize} onInput={(event) => write({ ...draft, asOf: event.currentTarget.value.trim() })} />
            </label>
            {missing.length > 0 && <span class="dim">give {missing.map((name) => `$${name}`).join(", ")}</span>}
            <Past who={who} />
          </div>
          {told && state.at === "idle" && <p class="dim said">From the address: read it, then run it. A statement that somebody sent is never run by itself.</p>}
          {wrong && (
            <p class="said">
              <button type="button" onClick={() => show(editor.current, wrong.from)}>
                Line {lineOf(draft.sql, wrong.from)}
              </button>
            </p>
          )}
          {state.at === "answered" && placeOf(draft) !== place && <p class="warn said">The statement was changed since: this is the answer to it as it was run.</p>}
          <Outcome state={state} query={query} who={who} cancel={cancel} again={asked} />
          {state.at === "idle" && !told && <Help contents={who.permits.includes("contents")} />}
        </div>
      </div>
    </main>
  );
}

function Past({ who }: { who: Who }) {
  const [open, set] = useState(false);
  const past = histories.get(who) ?? [];
  if (past.length === 0) return null;
  return (
    <details class="past" open={open} onToggle={(event) => set(event.currentTarget.open)}>
      <summary>Asked before ({count(past.length)})</summary>
      {open && (
        <ol>
          {past.map((place) => (
            <li key={place}>
              <a href={place} onClick={() => set(false)}>
                <Shown text={(new URLSearchParams(place.slice("#/ask?".length)).get("sql") ?? "").replace(/\s+/g, " ").slice(0, 160)} />
              </a>
            </li>
          ))}
          <li class="dim small">In this tab's memory, until it is closed or you sign out. What was run is an entry of the log, too.</li>
        </ol>
      )}
    </details>
  );
}

function Help({ contents }: { contents: boolean }) {
  return (
    <div class="help dim small">
      <p>
        One SELECT in DuckDB's SQL. <code>actions</code> has a row for each action, <code>records</code> one for each entry; <code>$name</code> becomes a field. Each run is an entry of the log, with its text.
      </p>
      {!contents && (
        <p>
          Contents and persons are not for your role: they are NULL, and columns like <code>tool_arguments_commitment</code> say whether there is one, and which are the same.
        </p>
      )}
    </div>
  );
}

function insert(view: EditorView | null, name: string): void {
  if (!view) return;
  const { from } = view.state.selection.main;
  const before = view.state.sliceDoc(Math.max(0, from - 1), from);
  view.dispatch(view.state.replaceSelection(/[\w"]/.test(before) ? `, ${name}` : name));
  view.focus();
}

function show(view: EditorView | null, at: number): void {
  if (!view) return;
  view.dispatch({ selection: { anchor: Math.min(at, view.state.doc.length) }, scrollIntoView: true });
  view.focus();
}

const lineOf = (sql: string, at: number): number => sql.slice(0, at).split("\n").length;

/** Where the text is wrong: at the place that the ledger names, else at the one place of the name that it quotes. */
function placeOfProblem(state: Asking, sql: string): { from: number; to: number } | undefined {
  if (state.at !== "refused" || state.asked.sql !== sql) return undefined;
  const { said, message } = state.problem;
  if (typeof said.position === "number") {
    const position = said.position; // in code points
    const from = [...sql].slice(0, position).join("").length;
    return { from, to: from + (/^(\w+|[\s\S])/.exec(sql.slice(from))?.[0].length ?? 0) };
  }
  const quoted = /["']([^"']{1,80})["']/.exec(message)?.[1];
  const from = quoted === undefined ? -1 : sql.indexOf(quoted);
  return from < 0 || sql.indexOf(quoted!, from + 1) >= 0 ? undefined : { from, to: from + quoted!.length };
}
