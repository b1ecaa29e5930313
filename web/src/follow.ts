// The log as it grows: server-sent events, read by `fetch`, because an `EventSource` cannot say that this page asks.

import { ask, Problem } from "./api";
import { told } from "./hooks";

export interface Event {
  id: string; // the entry's seq; empty where none was told
  kind: string;
  data: string; // empty for what only says that the connection holds
}

export type State = { at: "connecting" } | { at: "following" } | { at: "away"; why: string; again: number } | { at: "refused"; problem: Problem };

const LONGEST = 8 * 1024 * 1024; // characters of one line: an entry with its contents is shorter
const SILENCE_MS = 45_000; // the server says something every 15 seconds
const FIRST_MS = 1_000;
const SLOWEST_MS = 30_000;

/** Follow until `signal`; a connection that breaks is made again where it was, and nothing is told twice. What is no matter of time ends it. */
export async function follow(query: string, signal: AbortSignal, heard: (event: Event) => void, state: (state: State) => void): Promise<void> {
  let last = "";
  let wait = FIRST_MS;
  for (let first = true; !signal.aborted; first = false) {
    const connection = new AbortController();
    const stop = (): void => connection.abort();
    signal.addEventListener("abort", stop);
    let silent = setTimeout(stop, SILENCE_MS);
    let why = "the connection ended";
    try {
      // Whoever opens the page uses it; what it does by itself later keeps no session alive.
      const answer = await ask(`/v1/records/stream?${query}`, { signal: connection.signal, poll: !first, headers: last ? { "Last-Event-ID": last } : {} });
      state({ at: "following" });
      for await (const event of events(answer.body!)) {
        clearTimeout(silent);
        silent = setTimeout(stop, SILENCE_MS);
        wait = FIRST_MS;
        if (event.id) last = event.id;
        if (event.kind === "end") why = reason(event.data);
        else if (event.data) heard(event);
      }
    } catch (error) {
      if (signal.aborted) return;
      const problem = told(error);
      if (problem.status === 401) return;
      if (problem.status >= 400 && problem.status < 500 && problem.status !== 429) return state({ at: "refused", problem });
      why = connection.signal.aborted ? "nothing was heard for too long" : problem.message;
    } finally {
      clearTimeout(silent);
      signal.removeEventListener("abort", stop);
    }
    if (signal.aborted) return;
    state({ at: "away", why, again: Date.now() + wait });
    await pause(wait, signal);
    wait = Math.min(wait * 2, SLOWEST_MS);
  }
}

function reason(data: string): string {
  try {
    return String(JSON.parse(data).detail);
  } catch {
    return "the ledger ended the stream";
  }
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((done) => {
    const timer = setTimeout(done, ms);
    signal.addEventListener("abort", () => (clearTimeout(timer), done()), { once: true });
  });
}

async function* events(body: ReadableStream<Uint8Array<ArrayBuffer>>): AsyncGenerator<Event> {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  let event: Event = { id: "", kind: "", data: "" };
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const lines = (rest + value).split("\n");
      rest = lines.pop()!;
      if (rest.length > LONGEST) throw new Problem(0, "", "The stream is not readable", "a line of it has no end");
      for (const line of lines) {
        const [field = "", said = ""] = line.split(/: ?(.*)/s);
        if (field === "id") event.id = said;
        else if (field === "event") event.kind = said;
        else if (field === "data") event.data += said;
        else if (line === "") {
          yield event;
          event = { id: "", kind: "", data: "" };
        }
      }
    }
  } finally {
    void reader.cancel().catch(() => undefined);
  }
}
