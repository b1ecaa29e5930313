// The log's keys: each handed over by the one before it, in a checkpoint signed with both (docs/keys.md). Who knows one of them knows all.

import { base64, decimal, isCount, isObject, refuse, utf8 } from "./bytes";
import { parseCanonical, parseEntry } from "./entry";
import { type Checkpoint, checkSignature, type Key, type Note, parseCheckpoint, parseKey, parseNote } from "./note";
import { included, leafOf } from "./tree";

export interface Term {
  key: Key;
  start: number; // the first entry that it signs for
  end: number | null; // the one after the last
  revoked: number | null; // from here on its signatures count for nothing
}

export interface Receipt {
  index: number;
  proof: Uint8Array[];
  checkpoint: string;
  extra: Uint8Array | null;
}

/** A C2SP tlog-proof. */
export function parseReceipt(text: string): Receipt {
  const end = text.indexOf("\n\n");
  const lines = text.slice(0, Math.max(end, 0)).split("\n");
  if (end < 0 || text.length > 2e6 || /[^\x00-\x7f]/.test(text.slice(0, end)) || lines.shift() !== "c2sp.org/tlog-proof@v1") refuse("it is no receipt");
  const extra = lines[0]?.startsWith("extra ") ? base64(lines.shift()!.slice(6)) : null;
  if (!lines[0]?.startsWith("index ") || lines.length > 64 || end + 2 === text.length) refuse("it is no receipt");
  return { index: decimal(lines.shift()!.slice(6)), proof: hashes(lines), checkpoint: text.slice(end + 2), extra };
}

export const hashes = (several: string[]): Uint8Array[] =>
  several.map((each) => {
    const hash = base64(each);
    return hash.length === 32 ? hash : refuse("a hash of a proof is none");
  });

/** The keys that a proof shows (`GET /v1/keys`), from the first on; refused where one does not follow from the one before. */
export async function followKeys(proof: string): Promise<Term[]> {
  const value = parseCanonical(proof.replace(/\n$/, ""));
  if (!isObject(value) || Object.keys(value).join() !== "entries,first,keys" || value.keys !== 1 || typeof value.first !== "string" || !Array.isArray(value.entries)) {
    return refuse("it is no history of keys");
  }
  const terms: Term[] = [{ key: await parseKey(value.first), start: 0, end: null, revoked: null }];
  for (const each of value.entries) await follow(terms, parseReceipt(typeof each === "string" ? each : refuse("it is no history of keys")));
  return terms;
}

async function follow(terms: Term[], receipt: Receipt): Promise<void> {
  const data = receipt.extra ?? refuse("a receipt of it has no entry");
  const { record, submitter } = parseEntry(data, receipt.index);
  const ext = record.ext;
  const last = terms.at(-1)!;
  const signers = [last.key];
  if (submitter !== "log" || !isObject(ext) || typeof ext["log.vkey"] !== "string" || receipt.index <= last.start) return refuse("an entry of it is not about the log's keys, or not in its order");
  const key = await parseKey(ext["log.vkey"]);
  const term = terms.find((each) => each.key.text === key.text);
  if (record.type === "log.key_rotated") {
    if (key.name !== last.key.name || terms.some((each) => each.key.id === key.id)) refuse("its next key is another log's, or was this one's before");
    last.end = receipt.index;
    terms.push({ key, start: receipt.index, end: null, revoked: null });
    signers.push(key);
  } else if (record.type === "log.key_revoked") {
    const from = isCount(ext["log.from"]) ? ext["log.from"] : -1;
    if (!term || term === last || from < term.start || from > term.end!) return refuse("it revokes what it cannot");
    if (term.revoked === null || from < term.revoked) term.revoked = from;
  } else refuse("an entry of it is not about the log's keys");
  const note = parseNote(utf8(receipt.checkpoint));
  const checkpoint = parseCheckpoint(note.text);
  if (checkpoint.origin !== last.key.name) refuse("a checkpoint of it is another log's");
  for (const signer of signers) await checkSignature(note, signer);
  included(leafOf(data), receipt.index, checkpoint, receipt.proof);
}

/** Whose checkpoints of this size are. */
export const termAt = (terms: Term[], size: number): Term => terms.find(({ end }) => end === null || end >= size)!;

/** The checkpoint of a note, signed by the key of its size, of the log of these keys. */
export async function openCheckpoint(note: string, terms: Term[]): Promise<Checkpoint & { note: Note }> {
  const parsed = parseNote(note);
  const checkpoint = parseCheckpoint(parsed.text);
  const { key, revoked } = termAt(terms, checkpoint.size);
  if (checkpoint.origin !== key.name) refuse(`it is of the log ${checkpoint.origin}, not of ${key.name}`);
  await checkSignature(parsed, key);
  if (revoked !== null && checkpoint.size > revoked) refuse("it is signed with a key that was revoked");
  return { ...checkpoint, note: parsed };
}
