// A question that is asked: followed while it runs, called off, kept for who comes back, and asked for again as a file. Each time is an entry of the log.

import { useEffect, useRef, useState } from "preact/hooks";
import { type Answer, ask, json, Problem, type Value, type Who } from "./api";
import { told } from "./hooks";
import { download } from "./parts/download";

export const PAGE_ROWS = 1_000;
const LOOK_MS = 1_000;
let turns = 0;
const KEPT = 8;

/** A statement, or a named question where it has a name. */
export interface Asked {
  name?: string | undefined;
  sql: string;
  parameters: Record<string, Value>;
  asOf?: number | undefined;
}

export type Asking =
  | { at: "idle" }
  | { at: "running"; asked: Asked; since: number; waiting: boolean; fraction: number | null }
  | { at: "answered"; asked: Asked; answer: Answer; turn: number } // no two answers have the same turn
  | { at: "refused"; asked: Asked; problem: Problem }
  | { at: "cancelled"; asked: Asked; seconds: number };

const pathOf = ({ name }: Asked): string => (name === undefined ? "/v1/query" : `/v1/queries/${encodeURIComponent(name)}`);

function bodyOf({ name, sql, parameters, asOf }: Asked, more: { limit?: number; cursor?: string }): unknown {
  const bound = asOf === undefined || more.cursor !== undefined ? {} : { as_of: asOf };
  return { ...(name === undefined && { sql }), parameters, ...bound, ...more };
}

export const nextRows = (asked: Asked, cursor: string, signal: AbortSignal): Promise<Answer> =>
  json(pathOf(asked), { method: "POST", body: bodyOf(asked, { limit: PAGE_ROWS, cursor }), signal });

export interface Form {
  label: string;
  accept: string;
  end: string;
  proofs?: boolean;
}

export const FORMS: readonly Form[] = [
  { label: "CSV", accept: "text/csv", end: "csv" },
  { label: "NDJSON", accept: "application/x-ndjson", end: "ndjson" },
  { label: "Parquet", accept: "application/vnd.apache.parquet", end: "parquet" },
  { label: "Arrow", accept: "application/vnd.apache.arrow.stream", end: "arrows" },
];
export const PROOFS: Form = { label: "JSON with proofs", accept: "application/json", end: "json", proofs: true };

/** The answer as a file, at the size of the log that is shown; gives how many rows it has, and whether there are more. */
export async function saveAnswer(asked: Asked, size: number, form: Form, signal: AbortSignal): Promise<{ rows: number; cut: boolean }> {
  const path = `${pathOf(asked)}${form.proofs ? "?proofs=true" : ""}`;
  const answer = await ask(path, { method: "POST", body: bodyOf({ ...asked, asOf: size }, {}), headers: { Accept: form.accept }, signal });
  download(`${asked.name ?? "answer"}-${size}.${form.end}`, await answer.blob());
  return { rows: Number(answer.headers.get("Ledger-Row-Count")), cut: answer.headers.get("Ledger-Truncated") === "true" };
}

// What was answered to whoever is signed in, by address: in memory alone, and gone with the session, whose object it hangs on.
const answered = new WeakMap<Who, Map<string, Asking>>();

function keptOf(who: Who): Map<string, Asking> {
  const kept = answered.get(who) ?? new Map<string, Asking>();
  answered.set(who, kept);
  return kept;
}

/** Ask, and know how it goes. `place` is the address: who comes back to it finds the answer that was there. */
export function useAsking(who: Who, place: string): { state: Asking; run: (asked: Asked, place: string) => void; cancel: () => void } {
  const kept = keptOf(who);
  const [state, set] = useState<Asking>(kept.get(place) ?? { at: "idle" });
  const going = useRef<Going | undefined>(undefined);
  useEffect(() => {
    if (going.current?.place === place) return;
    going.current?.leave();
    set(kept.get(place) ?? { at: "idle" });
  }, [place]);
  useEffect(() => () => going.current?.leave(), []);
  const run = (asked: Asked, at: string): void => {
    going.current?.leave();
    const now = new Going(asked, at, (next) => {
      if (next.at !== "running") {
        kept.delete(at);
        kept.set(at, next);
        for (const [oldest] of kept) if (kept.size > KEPT) kept.delete(oldest);
      }
      set(next);
    });
    going.current = now;
    void now.go();
  };
  return { state, run, cancel: () => void going.current?.cancel() };
}

class Going {
  private readonly id = crypto.randomUUID();
  private readonly calling = new AbortController();
  private readonly since = performance.now();
  private timer = 0;
  private over = false;
  private cancelled = false;

  constructor(
    private readonly asked: Asked,
    readonly place: string,
    private readonly tell: (state: Asking) => void,
  ) {}

  async go(): Promise<void> {
    const { asked, since } = this;
    this.tell({ at: "running", asked, since, waiting: false, fraction: null });
    this.timer = setTimeout(() => void this.look(), LOOK_MS);
    const body = bodyOf(asked, { limit: PAGE_ROWS });
    try {
      const answer = await json<Answer>(pathOf(asked), { method: "POST", body, headers: { "Ledger-Query-Id": this.id }, signal: this.calling.signal });
      this.end({ at: "answered", asked, answer, turn: (turns += 1) });
    } catch (error) {
      if (this.cancelled) this.end({ at: "cancelled", asked, seconds: (performance.now() - since) / 1000 });
      else this.end({ at: "refused", asked, problem: told(error) });
    }
  }

  /** End it on the ledger; where that cannot be said, the connection that closes says it. */
  async cancel(): Promise<void> {
    this.cancelled = true;
    await ask(`/v1/query/running/${this.id}`, { method: "DELETE" }).catch(() => this.calling.abort());
  }

  /** Nobody waits for it any more: the connection closes, which ends it. */
  leave(): void {
    this.over = true;
    clearTimeout(this.timer);
    this.calling.abort();
  }

  private end(state: Asking): void {
    if (this.over) return;
    this.over = true;
    clearTimeout(this.timer);
    this.tell(state);
  }

  /** How far it is; that is no question, and no use of the session. */
  private async look(): Promise<void> {
    const said = await json<{ queries: { id: string; waiting: boolean; fraction: number | null }[] }>("/v1/query/running", { poll: true }).catch(() => undefined);
    if (this.over) return;
    const own = said?.queries.find(({ id }) => id === this.id);
    this.tell({ at: "running", asked: this.asked, since: this.since, waiting: own?.waiting ?? false, fraction: own?.fraction ?? null });
    this.timer = setTimeout(() => void this.look(), LOOK_MS);
  }
}
