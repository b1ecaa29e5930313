// Each checkpoint that the log shows, held against what this browser saw before: the same log, grown, or an alarm.

import { count } from "../text";
import { hex, Refused, same, toBase64, unhex } from "./bytes";
import { followKeys, openCheckpoint, type Term } from "./keys";
import { type Alarm, type Memory, recall, remember } from "./memory";
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
  const raise = (kind: Alarm["kind"], detail: string, more?: string): undefined => {
    const known = recall(origin) ?? before;
    if (known && !known.alarm) {
      remember(origin, { ...known, alarm: { kind, at: new Date().toISOString(), detail, older: known.note, newer: note, ...(more && { proof: more }) } });
    }
    return undefined;
  };
  const history = await proved.catch((error: unknown) => {
    if (!(error instanceof Refused) || !before) throw error;
    return raise("key", `what answers proves no keys of the log: ${error.message}`);
  });
  if (!history) return undefined;
  const { proof, terms } = history;
  if (before && !goesOn(before, terms)) {
    return raise("key", `this browser knows the log by the key ${before.first}; what answers now proves other keys, from ${terms[0]!.key.text} on`);
  }
  let now: Checkpoint;
  try {
    now = await openCheckpoint(note, terms);
    if (now.origin !== origin) throw new Refused(`it is of the log ${now.origin}`);
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    if (!before) throw error;
    return raise("unsigned", `the checkpoint that is shown is not signed by the log: ${error.message}`);
  }
  const root = hex(now.root);
  const learnt = { note, size: now.size, root, at: new Date().toISOString(), keys: terms.map(({ key, start }): [string, number] => [key.text, start]) };
  if (!before) {
    // Two may ask at once for the first time: what one of them has remembered meanwhile stays, and the next look holds against it.
    if (!recall(origin)) remember(origin, { first: terms[0]!.key.text, since: learnt.at, confirmed: false, ...learnt });
    return { ...now, terms };
  }
  if (now.size < before.size) {
    return raise("rolled-back", `this browser saw ${count(before.size)} entries, and now there are ${count(now.size)}: an older copy was put in place, or what came after was cut off`);
  }
  if (terms.length < before.keys.length) return raise("key", "a key that the log had put in force is none of those that it proves now");
  if (now.size === before.size) {
    if (root === before.root) return { ...now, terms };
    return raise("forked", `the log signed two different roots for ${count(now.size)} entries`, forkProof(before.note, note, now.root, [], proof, terms));
  }
  const path = await consistency(before.size, now.size);
  let shown: Uint8Array;
  try {
    shown = rootBefore(before.size, now, path, await wholeRoot(before, now));
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    return raise("forked", `the log does not prove that its ${count(now.size)} entries begin with the ${count(before.size)} that this browser saw: ${error.message}`);
  }
  if (!same(shown, unhex(before.root))) {
    const told = `the log's ${count(now.size)} entries do not begin with the ${count(before.size)} that it signed before`;
    return raise("forked", told, forkProof(before.note, note, shown, path, proof, terms));
  }
  const latest = recall(origin);
  if (latest && latest.size <= now.size) remember(origin, { ...latest, ...learnt });
  return { ...now, terms };
}

/** The same first key, and every key in its place as far as both know them. Fewer than before are those of an older copy: its size tells. */
export function goesOn(before: Memory, terms: Term[]): boolean {
  return before.first === terms[0]!.key.text && before.keys.slice(0, terms.length).every(([text, start], at) => terms[at]!.key.text === text && terms[at]!.start === start);
}

/** Where the smaller size is a power of two its tree stands whole in the newer one, and the proof leaves out its root: the tiles have it. */
async function wholeRoot(before: Memory, now: Checkpoint): Promise<Uint8Array> {
  const level = Math.log2(before.size);
  if (!Number.isInteger(level)) return unhex(before.root);
  const row = Math.floor(level / 8);
  try {
    return rootOf((await tile(row, 0, now.size)).slice(0, Math.min(TILE, before.size / TILE ** row)));
  } catch {
    return unhex(before.root); // who may not read tiles is told by the proof alone whether it holds
  }
}

/** A proof for anybody that the log signed two histories: `agent-ledger verify fork.proof` (docs/witnesses.md). */
function forkProof(older: string, newer: string, root: Uint8Array, path: Uint8Array[], proof: string, terms: Term[]): string {
  const said = { consistency: path.map(toBase64), fork: 1, ...(terms.length > 1 && { keys: proof }), newer, older, root: toBase64(root), vkey: terms[0]!.key.text };
  return JSON.stringify(said);
}
