// What is read of a log to check it: its public tiles, notes and proofs, anew each time, whatever the browser has kept.

import { ask, Problem } from "../api";
import { isObject, refuse, Refused, utf8 } from "./bytes";
import { parseBundle, parseEntry, tilePath } from "./entry";
import { hashes } from "./keys";

export const TILE = 256;

async function bytes(path: string, signal?: AbortSignal): Promise<Uint8Array<ArrayBuffer>> {
  return new Uint8Array(await (await ask(path, { signal, fresh: true })).arrayBuffer());
}

export const checkpoint = async (signal?: AbortSignal): Promise<string> => (await ask("/checkpoint", { signal, fresh: true })).text();

export async function keyProof(signal?: AbortSignal): Promise<string> {
  const said: unknown = await (await ask("/v1/keys", { signal, fresh: true })).json();
  return isObject(said) && typeof said.proof === "string" ? said.proof : refuse("the answer holds no proof of its keys");
}

export async function consistency(old: number, now: number, signal?: AbortSignal): Promise<Uint8Array[]> {
  const said: unknown = await (await ask(`/v1/proofs/consistency?old=${old}&new=${now}`, { signal, fresh: true })).json();
  return isObject(said) && Array.isArray(said.hashes) ? hashes(said.hashes.map(String)) : refuse("the answer holds no proof");
}

/** The hashes of a tile as wide as a tree of this size has it. */
export async function tile(level: number, index: number, size: number, signal?: AbortSignal): Promise<Uint8Array[]> {
  const width = Math.min(TILE, Math.floor(size / TILE ** level) - index * TILE);
  const data = await bytes(tilePath(level, index, width), signal);
  if (data.length !== width * 32) refuse(`a tile holds ${data.length} bytes, not ${width * 32}`);
  return Array.from({ length: width }, (_, at) => data.subarray(at * 32, at * 32 + 32));
}

/** What the log shows of 256 entries: the bytes of each, null where it was retired, or why there is nothing; and the leaf hashes that it keeps. */
export interface Shown {
  index: number;
  entries: (Uint8Array | null | Problem | Error)[];
  hashes: Uint8Array[] | Error;
}

export async function bundle(index: number, size: number, gone: Gone, signal: AbortSignal): Promise<Shown> {
  const [entries, stored] = await Promise.all([entriesOf(index, size, gone, signal), tile(0, index, size, signal).catch(told(signal))]);
  return { index, entries, hashes: stored };
}

async function entriesOf(index: number, size: number, gone: Gone, signal: AbortSignal): Promise<Shown["entries"]> {
  const width = Math.min(TILE, size - index * TILE);
  try {
    return parseBundle(await bytes(tilePath("entries", index, width), signal), width);
  } catch (error) {
    const why = told(signal)(error);
    if (why instanceof Problem && (why.status === 0 || why.status === 401 || why.status === 403)) throw why;
    return singly(index * TILE, width, why, gone, signal);
  }
}

/** One by one, where a bundle cannot be had whole: what was retired is left out, and what else is not there is found. */
async function singly(start: number, width: number, why: Error, gone: Gone, signal: AbortSignal): Promise<Shown["entries"]> {
  if (why instanceof Problem && why.code === "retired") await gone.learn(Number(why.said.retired_by), signal);
  const found: Shown["entries"] = [];
  for (let seq = start; seq < start + width; seq++) {
    const before = found.at(-1);
    if (gone.has(seq)) found.push(null);
    else if (before instanceof Problem && before.status >= 500) found.push(before); // what cannot be read is rarely one entry alone
    else found.push(await one(seq, gone, signal));
  }
  return found;
}

async function one(seq: number, gone: Gone, signal: AbortSignal): Promise<Uint8Array | null | Error> {
  try {
    const text = await (await ask(`/v1/entries/${seq}`, { signal, fresh: true })).text();
    // The entry as it was hashed stands in the answer byte for byte, between what is before it and what is after it.
    const at = text.indexOf('"entry":{"prev":');
    const end = text.lastIndexOf(',"v":1},"contents":'); // a record may have such words in it, what follows the entry has not
    return at < 0 || end < at ? refuse("the answer holds no entry") : utf8(text.slice(at + 8, end + 7));
  } catch (error) {
    const why = told(signal)(error);
    if (!(why instanceof Problem) || why.code !== "retired") return why;
    await gone.learn(Number(why.said.retired_by), signal);
    return null;
  }
}

/** Which entries the log says that it has retired. That it says so in an entry of its own is checked when that entry is reached. */
export class Gone {
  readonly ranges: { from: number; to: number; policy: string; by: number }[] = [];
  private readonly learnt = new Set<number>();

  has(seq: number): boolean {
    return this.ranges.some(({ from, to }) => from <= seq && seq < to);
  }

  async learn(by: number, signal: AbortSignal): Promise<void> {
    if (!Number.isSafeInteger(by) || this.learnt.has(by)) return;
    this.learnt.add(by);
    const found = await one(by, this, signal);
    if (!(found instanceof Uint8Array)) return;
    try {
      const { record, submitter } = parseEntry(found, by);
      if (submitter === "log") this.ranges.push(...retiredIn(record, by));
    } catch (error) {
      if (!(error instanceof Refused)) throw error; // what is no entry retired nothing: what it is named for is then missing
    }
  }
}

/** What an entry of the log's own says that it retired: of entries before it alone. */
export function retiredIn(record: { [name: string]: unknown }, by: number): Gone["ranges"] {
  const ext = record.ext;
  if (record.type !== "log.entries_retired" || !isObject(ext) || !Array.isArray(ext["log.retired"])) return [];
  const ranges = ext["log.retired"].filter((each): each is [number, number] => Array.isArray(each) && each.length === 2 && each.every(Number.isSafeInteger) && 0 <= each[0] && each[0] < each[1] && each[1] <= by);
  return ranges.map(([from, to]) => ({ from, to, policy: String(ext["log.policy"] ?? ""), by }));
}

const told = (signal?: AbortSignal) => (error: unknown): Error => {
  if (signal?.aborted) throw error;
  return error instanceof Error ? error : new Error(String(error));
};
