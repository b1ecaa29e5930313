// The proof of one record: from its bytes by the tree to the root that the log signed, and from there to what others and this browser saw; each step computed here.

import { ask, type Entry, Problem, type Who } from "../api";
import { hex, refuse, Refused, same, textOf, unhex } from "./bytes";
import { canonical, commitment, type LogEntry, memberOf, parseEntry } from "./entry";
import { count } from "../text";
import { openCheckpoint, parseReceipt, type Receipt } from "./keys";
import { recall } from "./memory";
import { type Checkpoint, fingerprint, type Note } from "./note";
import { consistency, retiredIn, TILE, tile } from "./source";
import { included, leafOf, rootBefore, type Step } from "./tree";
import { goesOn, type History, keys, look } from "./watch";
import { cosigned } from "./witness";

const CONTENTS = ["source.original", "request.text", "decision.prompt", "decision.output", "decision.reason", "tool.arguments", "policy.input", "approval.shown", "outcome.result"];
const SALT = /^[0-9a-f]{32}$/;
const PERSONS = ["request.user", "identity.principal", "approval.approver"];

/** One thing that was checked: whether it holds, null where there is nothing to check. */
export interface Checked {
  what: string;
  good: boolean | null;
  detail: string;
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
  const receipt = parseReceipt(text);
  if (receipt.index !== seq) throw new Refused(`the receipt is of entry ${receipt.index}`);
  const history = await keys();
  const { terms } = history;
  let shown: (Checkpoint & { note: Note }) | undefined;
  let signer = "";
  await attempt("Signature", async () => {
    shown = await openCheckpoint(receipt.checkpoint, terms);
    const by = terms.find(({ end }) => end === null || end >= shown!.size)!.key;
    signer = by.text;
    return `the log's key ${by.id} signed this root for ${count(shown.size)} entries (Ed25519); fingerprint ${fingerprint(terms[0]!.key.text).slice(0, 17)}…`;
  });
  if (!shown) return { seq, entry: null, bytes: 0, leaf: new Uint8Array(32), steps: [], root: new Uint8Array(32), size: 0, key: "", checks, contents: [], receipt: text };
  const checkpoint = shown;
  const leaf = receipt.extra ? leafOf(receipt.extra) : await stored(receipt, checkpoint.size, signal);
  let entry: LogEntry | null = null;
  let steps: Step[] = [];
  await attempt("Entry", async () => {
    if (!receipt.extra) return retired(origin, seq, retiredBy, history, signal);
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
  return { seq, entry, bytes: receipt.extra?.length ?? 0, leaf, steps, root: checkpoint.root, size: checkpoint.size, key: signer, checks, contents: entry ? await disclosed(entry, receipt, seq, permits.includes("contents"), signal) : [], receipt: text };
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
async function retired(origin: string, seq: number, by: unknown, history: History, signal: AbortSignal): Promise<string> {
  if (!Number.isSafeInteger(by)) return refuse("its bytes are not shown, and no entry of the log is named that retired them");
  const receipt = parseReceipt((await receiptOf(by as number, signal)).text);
  if (receipt.index !== by || !receipt.extra) return refuse(`entry ${by}, which is said to have retired it, is not shown`);
  const shown = await openCheckpoint(receipt.checkpoint, history.terms);
  included(leafOf(receipt.extra), receipt.index, shown, receipt.proof);
  await remembered(origin, receipt.checkpoint, shown, history, signal);
  const { record, submitter } = parseEntry(receipt.extra, receipt.index);
  if (submitter !== "log" || !retiredIn(record, receipt.index).some(({ from, to }) => from <= seq && seq < to)) return refuse(`entry ${by} does not say that it retired this one`);
  return `its bytes are retired by policy, as entry ${by} says, which is proved likewise: the hash that is left of it is proved`;
}

async function stored({ index }: Receipt, size: number, signal: AbortSignal): Promise<Uint8Array> {
  return (await tile(0, Math.floor(index / TILE), size, signal))[index % TILE]!;
}

/** That the receipt's checkpoint is of the one log that was seen before, older or newer. */
async function remembered(origin: string, note: string, shown: Checkpoint, history: History, signal: AbortSignal): Promise<string | null> {
  const memory = recall(origin);
  if (memory?.alarm) throw new Refused(memory.alarm.detail);
  if (!memory || shown.size > memory.size) {
    if (!(await look(origin, note, memory, Promise.resolve(history)))) throw new Refused(recall(origin)?.alarm?.detail ?? "it is not of the log that was seen before");
    return memory ? `the ${count(memory.size)} entries seen before are the beginning of these` : null;
  }
  if (!goesOn(memory, history.terms)) throw new Refused(`this browser knows the log by the key ${memory.first}; what answers now proves other keys`);
  const seen = { origin, size: memory.size, root: unhex(memory.root) };
  const path = shown.size === seen.size ? [] : await consistency(shown.size, seen.size, signal);
  if (!same(rootBefore(shown.size, seen, path, shown.root), shown.root)) throw new Refused(`it is not of the log of ${count(seen.size)} entries that this browser saw`);
  return `it is of the log of ${count(seen.size)} entries that this browser saw`;
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

/** Contents and persons, each against its commitment in the entry. */
async function disclosed(entry: LogEntry, receipt: Receipt, seq: number, sees: boolean, signal: AbortSignal): Promise<Checked[]> {
  const shown: Entry = await (await ask(`/v1/entries/${seq}`, { signal, fresh: true })).json();
  const own = textOf(receipt.extra!);
  const found: Checked[] = [];
  for (const member of [...CONTENTS, ...PERSONS]) {
    const committed = memberOf(entry.record, member);
    if (typeof committed !== "string") continue;
    const content = shown.contents.find((each) => each.member === member) ?? shown.persons.find((each) => each.commitment === committed);
    if (content) {
      // A salt of another length could take over the beginning of the value: what is left would give the same hash.
      const good = SALT.test(content.salt) && hex(commitment(content.salt, content.value)) === committed;
      found.push({ what: member, good, detail: good ? `with its salt it gives the commitment ${committed.slice(0, 16)}…` : "altered: with its salt it does not give the commitment that the entry has" });
    } else if (shown.erased.includes(member)) found.push({ what: member, good: null, detail: "erased, as the server says; the commitment stays" });
    else if (shown.withheld.includes(member)) found.push({ what: member, good: null, detail: "withheld, as the server says: the ledger was never given it" });
    else if (shown.hidden.includes(member)) found.push(sees ? { what: member, good: false, detail: "hidden, though your role may see it" } : { what: member, good: null, detail: "not for your role; the commitment is proved" });
    else found.push({ what: member, good: false, detail: "missing: the server does not even say that it was erased or withheld" });
  }
  for (const { member } of shown.contents) {
    if (!found.some(({ what }) => what === member)) found.push({ what: member, good: false, detail: "altered: a content that the entry does not commit to" });
  }
  if (canonical(shown.entry) !== own) found.push({ what: "entry", good: false, detail: "altered: what is shown as this entry is not what the receipt proves" });
  return found;
}
