// Each checkpoint that the log shows, held against what this browser saw before: the same log, grown, or an alarm.

import { count, short } from "../text";
import { hex, refuse, Refused, same, toBase64, unhex } from "./bytes";
import { followKeys, openCheckpoint, type Term } from "./keys";
import { type Alarm, type Memory, recall, remember, SAID } from "./memory";
import { type Checkpoint, supported } from "./note";
import { consistency, keyProof, TILE, tile } from "./source";
import { rootBefore, rootOf } from "./tree";

export class Unsupported extends Error {
  constructor() {
    super("this browser cannot check Ed25519 signatures: nothing is verified. Chromium from 137 on, Firefox and Safari can.");
  }
}

export interface History {
  proof: string;
  terms: Term[];
}

let able: Promise<boolean> | undefined;
let followed: History | undefined;

/** The log's keys as it proves them now, and the keys that this browser knows among them. */
export async function keys(): Promise<History> {
  able ??= supported();
  if (!(await able)) throw new Unsupported();
  const proof = await keyProof();
  if (followed?.proof !== proof) followed = { proof, terms: await followKeys(proof) };
  return followed;
}

export interface Seen extends Checkpoint {
  terms: Term[];
}

/**
 * Look at a checkpoint that the log shows; `before` is what was remembered when it was asked for, so that an answer that comes late is no rollback.
 * Whoever goes on to use keys gives those that are to be looked at: a second answer may hold others.
 * Returns it where it is one of the log that was seen before, and remembers it; else there is an alarm, and undefined.
 */
export async function look(origin: string, note: string, before: Memory | undefined, proved = keys()): Promise<Seen | undefined> {
  const alarm = (kind: Alarm["kind"], detail: string): undefined => raise(origin, recall(origin) ?? before, { kind, detail }, note);
  const history = await proved.catch((error: unknown) => {
    if (!(error instanceof Refused) || !before) throw error;
    return alarm("key", `what answers proves no keys of the log: ${error.message}`);
  });
  if (!history) return undefined;
  const { terms } = history;
  if (before && !goesOn(before, terms)) return alarm("key", strange(before, terms));
  let now: Checkpoint;
  try {
    now = await openCheckpoint(note, terms);
    if (now.origin !== origin) throw new Refused(`it is of the log ${now.origin}`);
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    if (!before) throw error;
    return alarm("unsigned", `the checkpoint that is shown is not signed by the log: ${error.message}`);
  }
  if (before && now.size < before.size) {
    return alarm("rolled-back", `this browser saw ${count(before.size)} entries, and now there are ${count(now.size)}: an older copy was put in place, or what came after was cut off`);
  }
  try {
    await hold(origin, note, now, history);
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    return undefined;
  }
  return { ...now, terms };
}

type Wrong = Pick<Alarm, "kind" | "detail" | "proof">;

function raise(origin: string, known: Memory | undefined, { kind, detail, proof }: Wrong, newer: string): undefined {
  if (known && !known.alarm) remember(origin, { ...known, alarm: { kind, at: new Date().toISOString(), detail: short(detail, SAID), older: known.note, newer, ...(proof && { proof }) } });
  return undefined;
}

/**
 * Hold a checkpoint that the log signed, of whatever size, against the newest one that was seen, which is returned; a newer one is remembered.
 * Several may be looked at at once, and a server may show each look another history: what was remembered meanwhile is held against it too, and what is remembered follows from all before it.
 * Refused, with an alarm, where both are not of one history.
 */
export async function hold(origin: string, note: string, now: Checkpoint, history: History, signal?: AbortSignal): Promise<Memory | undefined> {
  const { terms } = history;
  if (now.origin !== origin) refuse(`it is of the log ${now.origin}`);
  const learnt = { note, size: now.size, root: hex(now.root), at: new Date().toISOString(), keys: terms.map(({ key, start }): [string, number] => [key.text, start]) };
  for (;;) {
    const held = recall(origin);
    if (!held) {
      remember(origin, { first: terms[0]!.key.text, since: learnt.at, confirmed: false, ...learnt });
      return undefined;
    }
    const wrong = await contradiction(held, note, now, history, signal);
    if (wrong) {
      raise(origin, recall(origin) ?? held, wrong, note);
      return refuse(wrong.detail);
    }
    if (recall(origin)?.note !== held.note) continue;
    if (now.size > held.size) remember(origin, { ...recall(origin)!, ...learnt });
    return held;
  }
}

const strange = ({ first }: Memory, terms: Term[]): string => `this browser knows the log by the key ${first}; what answers now proves other keys, from ${terms[0]!.key.text} on`;

/** Why a checkpoint that the log signed is not of one history with the one that was seen, if it is not. */
async function contradiction(held: Memory, note: string, now: Checkpoint, { proof, terms }: History, signal?: AbortSignal): Promise<Wrong | undefined> {
  if (!goesOn(held, terms)) return { kind: "key", detail: strange(held, terms) };
  if (now.size >= held.size && terms.length < held.keys.length) return { kind: "key", detail: "a key that the log had put in force is none of those that it proves now" };
  const seen = { origin: now.origin, size: held.size, root: unhex(held.root) };
  if (now.size === seen.size) {
    if (same(now.root, seen.root)) return undefined;
    return { kind: "forked", detail: `the log signed two different roots for ${count(now.size)} entries`, proof: forkProof(held.note, note, now.root, [], proof, terms) };
  }
  const grown = now.size > seen.size;
  const [older, newer] = grown ? [seen, now] : [now, seen];
  try {
    const path = await consistency(older.size, newer.size, signal);
    const shown = rootBefore(older.size, newer, path, await wholeRoot(older, newer));
    if (same(shown, older.root)) return undefined;
    const detail = `the log's ${count(newer.size)} entries do not begin with the ${count(older.size)} that it signed ${grown ? "before" : "too"}`;
    return { kind: "forked", detail, proof: forkProof(grown ? held.note : note, grown ? note : held.note, shown, path, proof, terms) };
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    return { kind: "forked", detail: `the log does not prove that its ${count(newer.size)} entries begin with the ${count(older.size)} that ${grown ? "this browser saw" : "it signed too"}: ${error.message}` };
  }
}

/** The same first key, and every key in its place as far as both know them. Fewer than before are those of an older copy: its size tells. */
export function goesOn(before: Memory, terms: Term[]): boolean {
  return before.first === terms[0]!.key.text && before.keys.slice(0, terms.length).every(([text, start], at) => terms[at]!.key.text === text && terms[at]!.start === start);
}

/** Where the smaller size is a power of two its tree stands whole in the newer one, and the proof leaves out its root: the tiles have it. */
async function wholeRoot(older: Checkpoint, newer: Checkpoint): Promise<Uint8Array> {
  const level = Math.log2(older.size);
  if (!Number.isInteger(level)) return older.root;
  const row = Math.floor(level / 8);
  try {
    return rootOf((await tile(row, 0, newer.size)).slice(0, Math.min(TILE, older.size / TILE ** row)));
  } catch {
    return older.root; // who may not read tiles is told by the proof alone whether it holds
  }
}

/** A proof for anybody that the log signed two histories: `agent-ledger verify fork.proof` (docs/witnesses.md). */
function forkProof(older: string, newer: string, root: Uint8Array, path: Uint8Array[], proof: string, terms: Term[]): string {
  const said = { consistency: path.map(toBase64), fork: 1, ...(terms.length > 1 && { keys: proof }), newer, older, root: toBase64(root), vkey: terms[0]!.key.text };
  return JSON.stringify(said);
}
