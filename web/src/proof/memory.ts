// What this browser has seen of a log, and checked: nothing gets in here that is not signed by the log's key, and nothing that contradicts what is here takes its place.

import type { Finding, State, Told } from "./check";

export interface Memory {
  first: string; // the key that the log began with, as this browser learnt it
  since: string; // when
  confirmed: boolean; // somebody compared the key with one from elsewhere
  keys: [text: string, start: number][]; // all keys that were followed from it
  note: string; // the newest checkpoint, as it was signed
  size: number;
  root: string;
  at: string; // when it was seen
  apart?: string[]; // other logs at this address, of which somebody said that this is none
  witnesses?: Witness[]; // as this ledger named them first
  checked?: Checked;
  state?: State;
  alarm?: Alarm;
}

/** Nobody but the ledger names its witnesses here: a key counts as his under whose name this browser met it first. */
export interface Witness {
  name: string;
  key: string;
  since: string;
}

/** The last check of the whole log in this browser. */
export interface Checked {
  at: string;
  from: number;
  size: number;
  root: string;
  seconds: number;
  findings: Finding[];
  unlisted: number;
  told: Told;
}

/** What the log showed that cannot be true of one honest log. */
export interface Alarm {
  kind: "rolled-back" | "forked" | "key" | "unsigned";
  at: string;
  detail: string;
  older: string; // the signed checkpoint that was seen
  newer: string; // what is shown now
  proof?: string; // fork.proof: both, and that they contradict each other
}

const PREFIX = "agent-ledger-seen ";
const name = (origin: string): string => PREFIX + origin;
const kept = new Map<string, Memory>(); // what the browser does not keep: then it holds for this page
/** How much of a server's words a finding or an alarm repeats, in characters: what does not fit into a browser's storage is not remembered. */
export const SAID = 500;
const WITNESSES = 50;
const heard = new Set<() => void>();

export function recall(origin: string): Memory | undefined {
  if (kept.has(origin)) return kept.get(origin);
  try {
    const text = localStorage.getItem(name(origin));
    const memory: unknown = text === null ? null : JSON.parse(text);
    if (isMemory(memory)) return memory;
  } catch {
    // not there, or not readable
  }
  return undefined;
}

/** What another release wrote differently is as good as nothing. */
function isMemory(value: unknown): value is Memory {
  const { first, note, root, size, keys } = (value ?? {}) as Partial<Memory>;
  return typeof first === "string" && typeof note === "string" && typeof root === "string" && Number.isSafeInteger(size) && Array.isArray(keys);
}

/** The other logs that were seen at this address: one that took the place of another under a new name contradicts nothing, and is told. */
export function others(origin: string): string[] {
  try {
    return Object.keys(localStorage).filter((each) => each.startsWith(PREFIX) && each !== name(origin)).map((each) => each.slice(PREFIX.length));
  } catch {
    return [];
  }
}

export function remember(origin: string, memory: Memory): void {
  try {
    localStorage.setItem(name(origin), JSON.stringify(memory));
    kept.delete(origin);
  } catch {
    kept.set(origin, memory);
  }
  for (const each of heard) each();
}

/** The witness of this name as he was named first; now, where he is met for the first time. */
export function meet(origin: string, name: string, key: string): Witness {
  const memory = recall(origin);
  const met = memory?.witnesses?.find((each) => each.name === name);
  if (met) return met;
  const witness = { name, key, since: new Date().toISOString() };
  if (memory && (memory.witnesses?.length ?? 0) < WITNESSES) remember(origin, { ...memory, witnesses: [...(memory.witnesses ?? []), witness] });
  return witness;
}

/** Somebody has compared the key with one from elsewhere. */
export function confirmKey(origin: string): void {
  const memory = recall(origin);
  if (memory) remember(origin, { ...memory, confirmed: true });
}

export function forget(origin: string): void {
  kept.delete(origin);
  try {
    localStorage.removeItem(name(origin));
  } catch {
    // see above
  }
  for (const each of heard) each();
}

/** Be told when it changes, in this page or another one; returns how to stop. */
export function hear(changed: () => void): () => void {
  heard.add(changed);
  addEventListener("storage", changed);
  return () => {
    heard.delete(changed);
    removeEventListener("storage", changed);
  };
}
