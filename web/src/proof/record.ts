// The proof of one record: from its bytes by the tree to the root that the log signed, and from there to what others and this browser saw; each step computed here.

import { ask, type Content, type Entry, Problem, type Who } from "../api";
import { hex, isCount, isObject, refuse, Refused, textOf } from "./bytes";
import { canonical, commitment, type LogEntry, memberOf, parseEntry } from "./entry";
import { count } from "../text";
import { openCheckpoint, parseReceipt, type Receipt } from "./keys";
import { recall } from "./memory";
import { type Checkpoint, fingerprint, type Note } from "./note";
import { retiredIn, TILE, tile } from "./source";
import { included, leafOf, type Step } from "./tree";
import { type History, hold, keys } from "./watch";
import { cosigned } from "./witness";

const CONTENTS = ["source.original", "request.text", "decision.prompt", "decision.output", "decision.reason", "tool.arguments", "policy.input", "approval.shown", "outcome.result"];
const SALT = /^[0-9a-f]{32}$/;
const PERSONS = ["request.user", "identity.principal", "approval.approver"];

/** One thing that was checked: whether it holds, null where there is nothing to check. */
export interface Checked {
  what: string;
  good: boolean | null;
  detail: string;
  value?: string; // of a content or person, as it was checked
  gone?: boolean; // it is not there, and an entry of the log says why
}

export interface Proof {
  seq: number;
  entry: LogEntry | null; // null where its bytes are retired
  bytes: number;
  leaf: Uint8Array;
  steps: Step[];
  root: Uint8Array;
  size: number;
  key: string;
  checks: Checked[];
  contents: Checked[];
  receipt: string;
}

export async function prove({ origin, permits }: Who, seq: number, signal: AbortSignal): Promise<Proof> {
  const checks: Checked[] = [];
  const attempt = async (what: string, work: () => Promise<string | null> | string | null): Promise<void> => {
    try {
      const detail = await work();
      if (detail !== null) checks.push({ what, good: true, detail });
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      checks.push({ what, good: false, detail: error.message });
    }
  };
  const { text, retiredBy } = await receiptOf(seq, signal);
  const nothing = (): Proof => ({ seq, entry: null, bytes: 0, leaf: new Uint8Array(32), steps: [], root: new Uint8Array(32), size: 0, key: "", checks, contents: [], receipt: text });
  let receipt!: Receipt;
  await attempt("Receipt", () => {
    receipt = parseReceipt(text);
    return receipt.index === seq ? null : refuse(`it is of entry ${receipt.index}`);
  });
  if (checks.length) return nothing();
  let history!: History;
  let shown: (Checkpoint & { note: Note }) | undefined;
  let signer = "";
  await attempt("Signature", async () => {
    history = await keys();
    const { terms } = history;
    shown = await openCheckpoint(receipt.checkpoint, terms);
    const by = terms.find(({ end }) => end === null || end >= shown!.size)!.key;
    signer = by.text;
    return `the log's key ${by.id} signed this root for ${count(shown.size)} entries (Ed25519); fingerprint ${fingerprint(terms[0]!.key.text).slice(0, 17)}…`;
  });
  if (!shown) return nothing();
  const checkpoint = shown;
  let leaf: Uint8Array = new Uint8Array(32);
  let entry: LogEntry | null = null;
  let steps: Step[] = [];
  await attempt("Entry", async () => {
    leaf = receipt.extra ? leafOf(receipt.extra) : await stored(receipt, checkpoint.size, signal);
    if (!receipt.extra) return retired(origin, seq, retiredBy, signal);
    entry = parseEntry(receipt.extra, seq);
    return `${count(receipt.extra.length)} bytes of canonical JSON, which say that they are entry ${count(seq)}, recorded at ${entry.recorded_at}`;
  });
  await attempt("Path", () => {
    steps = included(leaf, seq, checkpoint, receipt.proof);
    return `${steps.length} hashes lead from the leaf to the root`;
  });
  checks.sort((one, other) => ORDER.indexOf(one.what) - ORDER.indexOf(other.what));
  await attempt("This browser", () => remembered(origin, receipt.checkpoint, checkpoint, history, signal));
  await witnessed(checks, origin, checkpoint, signal);
  return { seq, entry, bytes: receipt.extra?.length ?? 0, leaf, steps, root: checkpoint.root, size: checkpoint.size, key: signer, checks, contents: entry ? await disclosed(origin, entry, receipt.extra!, permits.includes("contents"), signal) : [], receipt: text };
}

const ORDER = ["Entry", "Path", "Signature"];

async function receiptOf(seq: number, signal: AbortSignal): Promise<{ text: string; retiredBy?: unknown }> {
  try {
    return { text: await (await ask(`/v1/entries/${seq}/receipt?entry=true`, { signal, fresh: true })).text() };
  } catch (error) {
    if (!(error instanceof Problem) || error.code !== "retired") throw error;
    return { text: await (await ask(`/v1/entries/${seq}/receipt`, { signal, fresh: true })).text(), retiredBy: error.said.retired_by };
  }
}

/** That an entry of the log's own retired this one: it is proved as every entry is. A server's word alone would hide what was altered or lost. */
async function retired(origin: string, seq: number, by: unknown, signal: AbortSignal): Promise<string> {
  if (!isCount(by)) return refuse("its bytes are not shown, and no entry of the log is named that retired them");
  const record = await own(origin, by, signal);
  if (!record) return refuse(`entry ${by}, which is said to have retired it, is not shown`);
  if (!retiredIn(record, by).some(({ from, to }) => from <= seq && seq < to)) return refuse(`entry ${by} does not say that it retired this one`);
  return `its bytes are retired by policy, as entry ${by} says, which is proved likewise: the hash that is left of it is proved`;
}

/** What an entry of the log's own says, proved; null where its own bytes are not shown. The keys are asked for anew: it may have been signed for after a rotation. */
async function own(origin: string, seq: number, signal: AbortSignal): Promise<LogEntry["record"] | null> {
  const { text } = await receiptOf(seq, signal).catch((error: unknown) => {
    if (error instanceof Problem && error.status === 404) return refuse(`there is no entry ${seq}`);
    throw error;
  });
  const receipt = parseReceipt(text);
  if (receipt.index !== seq) return refuse(`the receipt that is shown for entry ${seq} is of entry ${receipt.index}`);
  if (!receipt.extra) return null;
  const history = await keys();
  const shown = await openCheckpoint(receipt.checkpoint, history.terms);
  included(leafOf(receipt.extra), seq, shown, receipt.proof);
  await remembered(origin, receipt.checkpoint, shown, history, signal);
  const { record, submitter } = parseEntry(receipt.extra, seq);
  return submitter === "log" ? record : refuse(`entry ${seq} is none of the log's own`);
}

async function stored({ index }: Receipt, size: number, signal: AbortSignal): Promise<Uint8Array> {
  return (await tile(0, Math.floor(index / TILE), size, signal))[index % TILE]!;
}

/** That the receipt's checkpoint is of the one log that was seen before, older or newer. */
async function remembered(origin: string, note: string, shown: Checkpoint, history: History, signal: AbortSignal): Promise<string | null> {
  const alarm = recall(origin)?.alarm;
  if (alarm) throw new Refused(alarm.detail);
  const held = await hold(origin, note, shown, history, signal);
  if (!held) return null;
  return shown.size > held.size ? `the ${count(held.size)} entries seen before are the beginning of these` : `it is of the log of ${count(held.size)} entries that this browser saw`;
}

async function witnessed(checks: Checked[], origin: string, { note }: { note: Note }, signal: AbortSignal): Promise<void> {
  const said: { witnesses: { name: string; key: string }[] } = await (await ask("/v1/witnesses", { signal })).json();
  if (said.witnesses.length === 0) checks.push({ what: "Witnesses", good: null, detail: "this log asks none" });
  for (const witness of said.witnesses) {
    const what = `Witness ${witness.name}`;
    try {
      const { at, since } = await cosigned(origin, note, witness);
      checks.push({ what, good: at === null ? null : true, detail: at === null ? "has not cosigned this checkpoint" : `cosigned it at ${new Date(at * 1000).toISOString()}, under the key that this ledger named, first seen ${since}` });
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      checks.push({ what, good: false, detail: error.message });
    }
  }
  for (const { name, since } of recall(origin)?.witnesses ?? []) {
    if (!said.witnesses.some((each) => each.name === name)) checks.push({ what: `Witness ${name}`, good: null, detail: `first seen ${since}, is not named by this ledger any more` });
  }
}

/** Contents and persons, each against its commitment in the entry; and that the answer in which they stand shows this entry. */
async function disclosed(origin: string, entry: LogEntry, bytes: Uint8Array, sees: boolean, signal: AbortSignal): Promise<Checked[]> {
  const { seq } = entry;
  const shown: unknown = await (await ask(`/v1/entries/${seq}`, { signal, fresh: true })).json();
  if (!isEntry(shown)) return [{ what: "entry", good: false, detail: "what is shown as this entry has not the members of one" }];
  const found: Checked[] = [];
  const left: { committed: string; content: Content }[] = shown.contents.map((content) => ({ committed: content.member, content }));
  left.push(...shown.persons.map((person) => ({ committed: person.commitment, content: { ...person, member: "a person" } })));
  for (const member of [...CONTENTS, ...PERSONS]) {
    const committed = memberOf(entry.record, member);
    if (typeof committed !== "string") continue;
    const name = CONTENTS.includes(member) ? member : committed;
    const at = left.findIndex((each) => each.committed === name);
    if (at < 0) {
      found.push(await absent(origin, entry, member, committed, shown, sees, signal));
      continue;
    }
    const { salt, value } = left[at]!.content;
    if (CONTENTS.includes(member) || !PERSONS.slice(PERSONS.indexOf(member) + 1).some((other) => memberOf(entry.record, other) === committed)) left.splice(at, 1); // one person may be named twice
    // A salt of another length could take over the beginning of the value: what is left would give the same hash.
    const good = typeof value === "string" && SALT.test(salt) && hex(commitment(salt, value)) === committed;
    found.push({ what: member, good, detail: good ? `with its salt it gives the commitment ${committed.slice(0, 16)}…` : "altered: with its salt it does not give the commitment that the entry has", ...(good && { value }) });
  }
  for (const { content } of left) found.push({ what: content.member, good: false, detail: "altered: it was added; the entry does not commit to it, or not twice" });
  if (!isThis(shown, entry, bytes)) found.push({ what: "entry", good: false, detail: "altered: what is shown as this entry is not what the receipt proves" });
  return found;
}

/** Why a content or person is not there. That the log says so is proved; a server's word alone would hide what was deleted. */
async function absent(origin: string, { seq }: LogEntry, member: string, committed: string, shown: Entry, sees: boolean, signal: AbortSignal): Promise<Checked> {
  const found = (good: boolean | null, detail: string, gone = false): Checked => ({ what: member, good, detail, ...(gone && { gone }) });
  if (shown.hidden.includes(member)) return sees ? found(false, "hidden, though your role may see it") : found(null, "not for your role; the commitment is proved");
  const how = shown.erased.includes(member) ? "erased" : shown.withheld.includes(member) ? "withheld" : null;
  if (!how) return found(false, "missing: the server does not even say that it was erased or withheld");
  const by = isObject(shown.told_in) && Object.hasOwn(shown.told_in, member) ? shown.told_in[member] : undefined;
  if (!isCount(by) || by <= seq) return found(false, `missing: the server calls it ${how}, and names no entry of the log that says so`);
  try {
    const told = await own(origin, by, signal);
    if (!told) return found(null, `${how}, as the server says; entry ${by}, which is to say so, is not shown`);
    if (!saysGone(told, seq, member, committed)) return found(false, `missing: the server calls it ${how}, and entry ${by}, which it names for that, does not say so`);
    return found(true, `${how}, as entry ${by} says, which is proved likewise; the commitment stays`, true);
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    return found(false, `missing: the server calls it ${how}; entry ${by}, which it names for that, is not proved: ${error.message}`);
  }
}

/** Whether an entry of the log's own says that this content or person was never given, or erased, or its contents retired (docs/format.md). */
function saysGone(told: LogEntry["record"], seq: number, member: string, committed: string): boolean {
  const ext = isObject(told.ext) ? told.ext : {};
  const names = (places: unknown): boolean => Array.isArray(places) && places.some((each) => Array.isArray(each) && each.length === 2 && each[0] === seq && each[1] === member);
  if (told.type === "log.content_withheld") return names(ext["log.withheld"]);
  if (told.type === "log.content_erased") return names(ext["log.erased"]) || (PERSONS.includes(member) && Array.isArray(ext["log.persons"]) && ext["log.persons"].includes(committed));
  if (told.type !== "log.contents_retired" || !CONTENTS.includes(member)) return false;
  const ranges = ext["log.contents_retired"];
  return Array.isArray(ranges) && ranges.some((each) => Array.isArray(each) && each.length === 2 && each[0] <= seq && seq < each[1]);
}

const texts = (value: unknown): boolean => Array.isArray(value) && value.every((each) => typeof each === "string");
const isEntry = (value: unknown): value is Entry =>
  isObject(value) && [value.contents, value.persons].every((each) => Array.isArray(each) && each.every(isObject)) && [value.hidden, value.withheld, value.erased].every(texts);

/** Whether the answer is of this entry in everything that it says of it. */
function isThis(shown: Entry, entry: LogEntry, bytes: Uint8Array): boolean {
  const { seq, recorded_at: at, submitter, record } = entry;
  if (shown.seq !== seq || shown.recorded_at !== at || shown.submitter !== submitter || shown.id !== record.id || shown.leaf_hash !== hex(leafOf(bytes))) return false;
  try {
    return canonical(shown.entry) === textOf(bytes);
  } catch (error) {
    if (error instanceof Refused) return false;
    throw error;
  }
}
