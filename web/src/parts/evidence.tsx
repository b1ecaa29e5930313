// Evidence of any selection: what it will hold is said before, what it held after. docs/evidence.md

import { useEffect, useRef, useState } from "preact/hooks";
import { ask, type Problem, type Value, type Who } from "../api";
import { told } from "../hooks";
import { count, Shown } from "../text";
import { download } from "./download";
import { ProblemBox } from "./problem";

export const MOST = 10_000;

/** Which entries: by their places, by a SELECT or by a named query whose columns `seq` and `seqs`, or `columns`, name them. */
export type Selection =
  | { seqs: number[] }
  | { sql: string; parameters?: Record<string, Value>; columns?: string[]; limit?: number }
  | { query: string; parameters?: Record<string, Value>; columns?: string[]; limit?: number };

interface Made {
  name: string;
  entries: number;
  entry: number;
  bytes: number;
  cut: boolean; // the selection was larger than an answer is
}

interface Given {
  selection: Selection;
  what: string; // in words, as the dialog names it: "the 12 actions of this search"
  who: Who;
  disabled?: boolean;
  label?: string;
}

/** A button; what it opens says what the file will hold, makes it, and says how it is checked. */
export function Evidence({ selection, what, who, disabled = false, label = "Evidence…" }: Given) {
  const [open, set] = useState(false);
  return (
    <>
      <button type="button" disabled={disabled} onClick={() => set(true)} title="A file of these entries that proves itself, without a ledger">
        {label}
      </button>
      {open && <Making selection={selection} what={what} who={who} closed={() => set(false)} />}
    </>
  );
}

function Making({ selection, what, who, closed }: { selection: Selection; what: string; who: Who; closed: () => void }) {
  const seen = who.permits.includes("contents");
  const [about, say] = useState("");
  const [contents, disclose] = useState(seen);
  const [state, set] = useState<{ busy?: boolean; problem?: Problem; made?: Made }>({});
  const dialog = useRef<HTMLDialogElement>(null);
  const calling = useRef<AbortController | null>(null);
  useEffect(() => {
    dialog.current?.showModal();
    return () => calling.current?.abort();
  }, []);
  const make = async (event: Event): Promise<void> => {
    event.preventDefault();
    calling.current = new AbortController();
    set({ busy: true });
    try {
      const body = { ...selection, about, ...(!contents && { disclose: [] }) };
      set({ made: await evidence(body, calling.current.signal) });
    } catch (error) {
      if (!calling.current.signal.aborted) set({ problem: told(error) });
    }
  };
  const { busy, problem, made } = state;
  return (
    <dialog class="evidence" ref={dialog} onClose={closed} aria-labelledby="evidence-title">
      <form onSubmit={make}>
        <h2 id="evidence-title">Evidence</h2>
        <p>
          A zip with <b>{what}</b>: each entry byte for byte, its receipt, the signed checkpoint, {"sql" in selection || "query" in selection ? "the question and its answer, " : ""}a report to
          print, and a page that checks all of it in any browser, without this ledger and without a network.
        </p>
        <fieldset>
          <legend>Contents and persons</legend>
          <label>
            <input type="radio" name="contents" checked={contents} disabled={!seen} onChange={() => disclose(true)} /> Disclosed, with their salts
          </label>
          <label>
            <input type="radio" name="contents" checked={!contents} onChange={() => disclose(false)} /> Kept back: only their commitments
          </label>
          {!seen && <p class="dim small">Your role sees no contents, so it discloses none.</p>}
          {contents && <p class="dim small">Whoever gets the file has them, and with a person's salt can find that person's other entries in this log.</p>}
        </fieldset>
        <label class="about">
          What it is for <input value={about} maxLength={1000} placeholder="case 12" onInput={(event) => say(event.currentTarget.value)} disabled={!!made} />
        </label>
        {problem && <ProblemBox problem={problem} />}
        {made && <Done made={made} />}
        <footer>
          <span class="dim small">At most {count(MOST)} entries. That it was made, by whom and its digest become an entry of the log.</span>
          <button type="button" onClick={() => dialog.current?.close()}>
            {made ? "Close" : "Cancel"}
          </button>
          {!made && (
            <button type="submit" class="main" disabled={busy}>
              {busy ? "Gathering…" : "Make and save"}
            </button>
          )}
        </footer>
      </form>
    </dialog>
  );
}

function Done({ made }: { made: Made }) {
  return (
    <div class="done" role="status">
      <p>
        Saved <b class="name"><Shown text={made.name} /></b>: {count(made.entries)} {made.entries === 1 ? "entry" : "entries"}, {size(made.bytes)}. Entry{" "}
        <a href={`#/record/${made.entry}`}>{made.entry}</a> of the log says so.
      </p>
      {made.cut && <p class="warn">Not all of it: the selection has more rows than an answer. Narrow it down, and make several.</p>}
      <p class="dim small">
        To check it: <code>agent-ledger verify {made.name}</code>, or open <code>verify.html</code> of it.
      </p>
    </div>
  );
}

async function evidence(body: object, signal: AbortSignal): Promise<Made> {
  const answer = await ask("/v1/evidence", { method: "POST", body, signal });
  const name = /filename="([\w.-]+)"/.exec(answer.headers.get("Content-Disposition") ?? "")?.[1] ?? "evidence.zip";
  const data = await answer.blob();
  download(name, data);
  const said = (header: string): number => Number(answer.headers.get(header));
  return { name, entries: said("Ledger-Evidence-Entries"), entry: said("Ledger-Evidence-Entry"), bytes: data.size, cut: answer.headers.has("Ledger-Evidence-Truncated") };
}

const size = (bytes: number): string => (bytes < 1e6 ? `${Math.ceil(bytes / 1e3)} kB` : `${(bytes / 1e6).toFixed(1)} MB`);
