import { useEffect, useRef, useState } from "preact/hooks";
import { Problem } from "./api";

const AGAIN_MS = 5_000;

export interface Loaded<T> {
  value: T | undefined;
  problem: Problem | undefined;
  busy: boolean;
}

/** What `load` gives, anew when `key` changes; what came before stays in sight until then, and what is not wanted any more is called off. */
export function useLoaded<T>(key: string, load: (signal: AbortSignal) => Promise<T>): Loaded<T> & { again: () => void } {
  const [state, set] = useState<Loaded<T>>({ value: undefined, problem: undefined, busy: true });
  const [turn, next] = useState(0);
  const asked = useRef(load);
  asked.current = load;
  useEffect(() => {
    const calling = new AbortController();
    let later = 0;
    set((before) => ({ ...before, busy: true }));
    asked.current(calling.signal).then(
      (value) => calling.signal.aborted || set({ value, problem: undefined, busy: false }),
      (error: unknown) => {
        if (calling.signal.aborted) return;
        const problem = told(error);
        set({ value: undefined, problem, busy: false });
        // A ledger that has just started makes its tables first, and says how far it is: that passes by itself.
        if (problem.code === "queries-busy") later = setTimeout(() => next((before) => before + 1), AGAIN_MS);
      },
    );
    return () => {
      calling.abort();
      clearTimeout(later);
    };
  }, [key, turn]);
  return { ...state, again: () => next(turn + 1) };
}

/** Aborted when whoever asks leaves the page: what nobody waits for any more ends on the ledger, too. */
export function useLeaving(): AbortSignal {
  const [leaving] = useState(() => new AbortController());
  useEffect(() => () => leaving.abort(), []);
  return leaving.signal;
}

export function told(error: unknown): Problem {
  if (error instanceof Problem) return error;
  return new Problem(0, "", "The console met an error of its own", error instanceof Error ? error.message : String(error));
}

/** Keys pressed outside of any field. */
export function useKeys(keys: Record<string, (event: KeyboardEvent) => void>): void {
  const current = useRef(keys);
  current.current = keys;
  useEffect(() => {
    const pressed = (event: KeyboardEvent): void => {
      const at = event.target instanceof Element ? event.target : null;
      if (event.ctrlKey || event.metaKey || event.altKey || at?.closest("input, textarea, select, dialog")) return;
      const act = Object.hasOwn(current.current, event.key) ? current.current[event.key] : undefined;
      if (act) {
        event.preventDefault();
        act(event);
      }
    };
    addEventListener("keydown", pressed);
    return () => removeEventListener("keydown", pressed);
  }, []);
}
