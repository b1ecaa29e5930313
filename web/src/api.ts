// The ledger's public API, as the console asks it. The session is a cookie that no script can read; the header says that this page asked.

export interface Who {
  name: string;
  roles: string[];
  permits: string[];
  origin: string;
}

export interface Log {
  origin: string;
  size: number;
  root: string;
  recorded_at: string;
  checkpoint: string;
  anchored_to: { head_anchor: string | null; size: number | null };
}

export type Cell = string | number | boolean | null | Cell[] | { [name: string]: Cell };
export type Value = string | number | boolean | null | { type: string; value: string | number | boolean | string[] };

export interface Answer {
  columns: { name: string; type: string }[];
  rows: Cell[][];
  row_count: number;
  truncated: boolean;
  size: number;
  root: string;
  seconds: number;
  behind?: number; // entries that the log had more
  next?: string;
}

export interface Content {
  member: string;
  salt: string;
  value: string;
}

export interface Entry {
  seq: number;
  leaf_hash: string;
  id: string;
  recorded_at: string;
  submitter: string;
  entry: { record: { [name: string]: Cell } };
  contents: Content[];
  persons: { commitment: string; salt: string; value: string }[];
  hidden: string[];
  withheld: string[];
  erased: string[];
  told_in: { [member: string]: number }; // the log's own entry that says that it was withheld or erased
}

/** A refusal as RFC 9457 has it; status 0 where nothing answered at all. */
export class Problem extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    readonly title: string,
    detail: string,
    readonly said: { [name: string]: unknown } = {},
  ) {
    super(detail);
  }
}

/** Called when the session has ended: set by whoever shows the sign-in page. */
export const session = { ended: () => {} };

interface Asking {
  method?: string;
  body?: unknown;
  signal?: AbortSignal | undefined;
  headers?: Record<string, string>;
  poll?: boolean;
  silent?: boolean; // a 401 is an answer like another
  fresh?: boolean; // not what the browser kept of an earlier answer: a tile may be kept for ever
}

export async function ask(path: string, asking: Asking = {}): Promise<Response> {
  const headers: Record<string, string> = { ...asking.headers, "X-Console": asking.poll ? "poll" : "1" };
  const init: RequestInit = { method: asking.method ?? "GET", headers, credentials: "same-origin", redirect: "error" };
  if (asking.fresh) init.cache = "no-store";
  if (asking.signal) init.signal = asking.signal;
  if (asking.body !== undefined) {
    headers["Content-Type"] = "application/json";
    init.body = JSON.stringify(asking.body);
  }
  let answer: Response;
  try {
    answer = await fetch(path, init);
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new Problem(0, "unreachable", "No answer", "the ledger does not answer: is it running, and is this machine connected?");
  }
  if (answer.ok) return answer;
  const problem = await problemOf(answer);
  if (answer.status === 401 && !asking.silent) session.ended();
  throw problem;
}

async function problemOf(answer: Response): Promise<Problem> {
  try {
    const said = await answer.json();
    const code = String(said.type ?? "").replace("urn:agent-ledger:problem:", "");
    return new Problem(answer.status, code, String(said.title ?? "Refused"), String(said.detail ?? ""), said);
  } catch {
    return new Problem(answer.status, "", `Status ${answer.status}`, "the answer says no more");
  }
}

export const json = async <T>(path: string, asking?: Asking): Promise<T> => (await ask(path, asking)).json();

export const who = (): Promise<Who> => json("/console/session", { silent: true });
export const signIn = (token: string): Promise<Who> =>
  json("/console/session", { method: "POST", body: { token }, silent: true });
export const issuers = async (): Promise<string[]> => (await json<{ issuers: string[] }>("/console/oidc", { silent: true })).issuers;
export const signInAt = async (issuer: number): Promise<string> =>
  (await json<{ to: string }>("/console/oidc", { method: "POST", body: { issuer }, silent: true })).to;
export const signOut = (): Promise<Response> => ask("/console/session", { method: "DELETE" });
export const log = (): Promise<Log> => json("/v1/log", { poll: true });
/** What the ledger says of itself: ready, degraded, or stopped, which is a refusal. */
export const ready = async (signal: AbortSignal): Promise<string> => {
  try {
    return (await json<{ status: string }>("/readyz", { signal })).status;
  } catch (error) {
    if (error instanceof Problem && error.status === 503) return "stopped";
    throw error;
  }
};
export const entry = (seq: number, signal?: AbortSignal): Promise<Entry> => json(`/v1/entries/${seq}`, { signal });
export const receipt = async (seq: number): Promise<string> => (await ask(`/v1/entries/${seq}/receipt`)).text();

export interface Question {
  sql: string;
  parameters: Record<string, Value>;
  limit?: number;
  cursor?: string;
}

export const query = (question: Question, signal?: AbortSignal): Promise<Answer> =>
  json("/v1/query", { method: "POST", body: question, signal });
