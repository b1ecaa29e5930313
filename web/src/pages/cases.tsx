import { useRef, useState } from "preact/hooks";
import { type Cell, type Problem, query, type Who } from "../api";
import { placeOf } from "../askplace";
import { type Act, CASES, draftOf, MOST_CASES, MOST_ENTRIES, noteOf, notesOf, words, write, written } from "../cases";
import { told, useLoaded } from "../hooks";
import type { PageProps } from "../pages";
import { Evidence } from "../parts/evidence";
import { ProblemBox } from "../parts/problem";
import { Table } from "../parts/table";
import { Head, Name, Pill } from "../parts/ways";
import { count, Shown, Time } from "../text";

const HERE = /(#\/[\w\-./?=&%+:~,@]+)/; // an address of this console within a note: nothing else becomes a link
const DONE: ReadonlyMap<string, string> = new Map([["open", "opened"], ["close", "closed"], ["reopen", "opened again"]]); // what else a note says it does is anybody's word
const NOTES = 200; // shown at first, and as many more each time
const textOf = (cell: Cell | undefined): string | null => (cell === null || cell === undefined ? null : String(cell));

/** All cases, or one with its notes. */
export function Cases({ at: [id], query: given, who }: PageProps) {
  const entries = given.get("entry") ?? "";
  return id ? <Case id={id} entries={entries} who={who} /> : <List entries={entries} who={who} />;
}

function List({ entries, who }: { entries: string; who: Who }) {
  const { value, problem, again, busy } = useLoaded("cases", async (signal) => (await query({ ...CASES, limit: MOST_CASES }, signal)).rows);
  const writes = who.permits.includes("post");
  const all = Number(value?.[0]?.[7] ?? 0);
  return (
    <main class="page work cases" aria-busy={busy}>
      <Head here="#/cases" title={entries ? `Entry ${entries}: which case?` : "Cases"} who={who}>
        A case is what its notes say. Each note is a record of the log: signed, in order, under the name of who wrote it, and never changed. A correction is another note.
      </Head>
      {problem && <ProblemBox problem={problem} again={again} />}
      {!value && !problem && <p class="dim">Looking…</p>}
      {writes && value && (
        <details open={entries !== "" || value.length === 0}>
          <summary>Open a case</summary>
          <Write act="open" id={undefined} entries={entries} who={who} />
        </details>
      )}
      {!writes && <ReadOnly who={who} />}
      {value && value.length === 0 && <p class="quiet">No case was opened yet.</p>}
      {value && value.length > 0 && (
        <Table columns={["Case", "State", "Title", { label: "Notes", n: true }, "Last note (UTC)", "Opened by"]}>
          {value.map(([id, title, , by, lastAt, notes, closed]) => (
            <tr key={String(id)}>
              <td data-label="Case">
                <a class="name" href={`#/cases/${encodeURIComponent(String(id))}${entries && `?entry=${encodeURIComponent(entries)}`}`}>
                  <Shown text={String(id)} />
                </a>
              </td>
              <td data-label="State">
                <Pill text={closed ? "closed" : "open"} tone={closed ? "" : "warn"} />
              </td>
              <td data-label="Title" class="saying">
                {title === null ? <span class="dim">not for your role, or erased</span> : <Shown text={words(String(title)).split("\n")[0]!} />}
              </td>
              <td data-label="Notes" class="n">
                {count(Number(notes))}
              </td>
              <td data-label="Last note">
                <Time at={String(lastAt)} />
              </td>
              <td data-label="Opened by">
                <Name text={textOf(by)} />
              </td>
            </tr>
          ))}
        </Table>
      )}
      {value && all > value.length && (
        <p class="dim small">
          The first {count(value.length)} of {count(all)}, the open ones first, the newest first. <a href={placeOf({ sql: CASES.sql, given: {}, asOf: "" })}>All of them by SQL</a>
        </p>
      )}
    </main>
  );
}

function Case({ id, entries, who }: { id: string; entries: string; who: Who }) {
  const [most, more] = useState(NOTES);
  const { value, problem, again, busy } = useLoaded(`case ${id} ${most}`, async (signal) => (await query(notesOf(id, most), signal)).rows.reverse());
  const [all, closed] = [Number(value?.[0]?.[7] ?? 0), value?.[0]?.[8] === true];
  const before = all - (value?.length ?? 0);
  const sees = who.permits.includes("contents");
  return (
    <main class="page work cases" aria-busy={busy}>
      <Head here="#/cases" title={`Case ${id}`} who={who} />
      {problem && <ProblemBox problem={problem} again={again} />}
      {!value && !problem && <p class="dim">Looking…</p>}
      {value && value.length === 0 && (
        <div class="nothing">
          <h2>No note names this case</h2>
          <p>
            <a href="#/cases">All cases</a>
          </p>
        </div>
      )}
      {value && value.length > 0 && (
        <>
          <p class="dim lead">
            <Pill text={closed ? "closed" : "open"} tone={closed ? "" : "warn"} /> {count(all)} {all === 1 ? "note" : "notes"}, in the order of the log. Times are the ledger's.
          </p>
          <div class="bar">
            <Evidence selection={{ seqs: evidenceOf(value) }} what={`${before > 0 ? `the newest ${count(value.length)} notes` : "the notes"} of this case and the entries that they are about`} who={who} />
          </div>
          {before > 0 && (
            <p class="quiet">
              {count(before)} notes came before these.{" "}
              <button type="button" disabled={busy} onClick={() => more(most + NOTES)}>
                Show more of them
              </button>
            </p>
          )}
          <ol class="notebook">
            {value.map(([seq, at, submitter, act, text, commitment, about]) => (
              <li key={String(seq)} class="card">
                <header>
                  <a href={`#/record/${seq}`} title="The record, with its proof">
                    <Time at={String(at)} />
                  </a>{" "}
                  <Name text={String(submitter)} /> {DONE.has(String(act)) && <Pill text={DONE.get(String(act))!} tone={act === "close" ? "good" : "warn"} />}
                </header>
                {text !== null ? <Words text={words(String(text))} /> : <p class="dim">{commitment === null ? "No words." : sees ? "Erased, or withheld." : "Its words are not for your role."}</p>}
                <About entries={about} />
              </li>
            ))}
          </ol>
          {who.permits.includes("post") ? <Write key={all} act="note" id={id} entries={entries} closed={closed} who={who} again={again} /> : <ReadOnly who={who} />}
        </>
      )}
    </main>
  );
}

/** The entries that a note is about, of what anybody may have written there: as many as a note written here names. */
const numbers = (entries: Cell | undefined): number[] =>
  (Array.isArray(entries) ? entries : []).filter((each) => Number.isSafeInteger(each) && Number(each) >= 0).map(Number).slice(0, MOST_ENTRIES);

/** The notes and what they are about: those that are entries of this log, which the notes themselves come after. */
function evidenceOf(notes: Cell[][]): number[] {
  const seqs = notes.flatMap(([seq, , , , , , about]) => [Number(seq), ...numbers(about).filter((each) => each < Number(seq))]);
  return [...new Set(seqs)].sort((a, b) => a - b);
}

/** A note's words; what in them is an address of this console leads there. */
function Words({ text }: { text: string }) {
  return (
    <p class="words-of">
      {text.split(HERE).map((part, index) =>
        index % 2 === 1 ? (
          <a key={index} href={part}>
            <Shown text={part} />
          </a>
        ) : (
          <Shown key={index} text={part} lines />
        ),
      )}
    </p>
  );
}

function About({ entries }: { entries: Cell | undefined }) {
  const seqs = numbers(entries);
  if (seqs.length === 0) return null;
  return (
    <p class="about">
      <small>About</small>{" "}
      {seqs.map((each) => (
        <a key={each} href={`#/record/${each}`}>
          entry {each}
        </a>
      ))}
    </p>
  );
}

function ReadOnly({ who }: { who: Who }) {
  return (
    <p class="quiet">
      You read here. To write notes <Shown text={who.name} /> needs the permission <code>post</code> too: <code>agent-ledger token create {"<name>"} --role content-reader --role writer</code>
    </p>
  );
}

/** A draft: it outlives the session's end, and an answer that was lost. */
function Write({ act, id, entries, closed = false, who, again }: { act: Act; id: string | undefined; entries: string; closed?: boolean; who: Who; again?: () => void }) {
  const draft = useRef(draftOf(who.name, id)).current;
  const [start] = useState({ text: draft.text, entries: entries || draft.entries });
  const [problem, refuse] = useState<Problem>();
  const [busy, work] = useState(false);
  const form = useRef<HTMLFormElement>(null);
  const typed = (): void => {
    const given = new FormData(form.current!);
    draft.text = String(given.get("text"));
    draft.entries = String(given.get("entries"));
  };
  const send = (as: Act): void => {
    if (!form.current!.reportValidity()) return;
    typed();
    work(true);
    refuse(undefined);
    Promise.resolve()
      .then(() => write(noteOf(draft, as)))
      .then(
        () => {
          written(who.name, id);
          if (again) again();
          else location.hash = `#/cases/${encodeURIComponent(draft.case)}`;
        },
        (error: unknown) => {
          refuse(told(error));
          work(false);
        },
      );
  };
  return (
    <form
      ref={form}
      class="write card"
      onInput={typed}
      onSubmit={(event) => {
        event.preventDefault();
        send(act);
      }}
    >
      <label class="wide">
        <span>{act === "open" ? "A title in the first line, then what is known" : "A note"}. Its words are a content: seen by who may see contents, and erasable</span>
        <textarea name="text" rows={act === "open" ? 3 : 4} required maxLength={50_000} defaultValue={start.text} placeholder="Addresses of this console (#/search?…) become links" />
      </label>
      <label>
        <span>About entries</span>
        <input name="entries" defaultValue={start.entries} placeholder="17, 18" spellcheck={false} />
      </label>
      <div class="ways">
        <button type="submit" class="main" disabled={busy}>
          {busy ? "Writing…" : act === "open" ? "Open the case" : "Write it down"}
        </button>
        {act === "note" && (
          <button type="button" disabled={busy} onClick={() => send(closed ? "reopen" : "close")}>
            {closed ? "Write it and open the case again" : "Write it and close the case"}
          </button>
        )}
      </div>
      {problem && <ProblemBox problem={problem} />}
    </form>
  );
}
