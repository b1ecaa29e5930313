// The check of a whole log, as an outsider makes it: every entry's form, hash and place, the chain, the tree, the signature, the keys; and what the log says of what is gone.
// It shares nothing with the server. What it finds has the names that docs/tampering.md gives it.

import { Problem } from "../api";
import { short } from "../text";
import { base64, hex, isCount, isObject, Refused, same, unhex } from "./bytes";
import { type LogEntry, parseEntry, signedOf } from "./entry";
import type { Term } from "./keys";
import { SAID } from "./memory";
import { type Checkpoint, holds, importPoint } from "./note";
import { bundle, Gone, retiredIn, type Shown, TILE, tile } from "./source";
import { Frontier, leafOf, rootOf } from "./tree";

export type Kind = "altered" | "missing" | "rolled-back" | "forked" | "unverifiable";

export interface Finding {
  kind: Kind;
  seq: number | null; // the first entry that is in doubt by it
  to?: number; // the one after the last, where it is several
  detail: string;
}

/** What the log says of itself, or of its senders: nothing of it is wrong. */
export interface Told {
  entries: number;
  retired: { from: number; to: number; policy: string; by: number }[];
  erased: number; // contents and persons that were erased by policy
  erasedBy: number[]; // the entries that say so, the first of them
  late: number; // records that came more than LATE_MIN after their own time
  lateAt: number | null; // the latest of them
  lateMin: number; // by how much that one was late
  signatures: number; // of agents, that hold
}

/** Where a check that found nothing ended: another one can go on from here. */
export interface State {
  size: number;
  nodes: string[];
  last: string; // the leaf hash of the last entry
  time: string;
  agents: [string, string][];
  given: string[];
}

export interface Report {
  from: number;
  size: number;
  root: string;
  findings: Finding[];
  unlisted: number;
  told: Told;
  state: State | null;
  seconds: number;
}

export interface Progress {
  done: number;
  total: number;
  perS: number;
  findings: number;
}

export interface Asked {
  terms: Term[];
  checkpoint: Checkpoint;
  seen: { size: number; root: string } | null; // what this browser saw before
  since: State | null;
  signal: AbortSignal;
  progress: (progress: Progress) => void;
}

export const LATE_MIN = 15; // as the question late-records has it
const LISTED = 100;
const AHEAD = 4;
const TELL_MS = 50;

export async function check(asked: Asked): Promise<Report> {
  const checking = new Check(asked);
  return checking.run();
}

class Check {
  private readonly size: number;
  private readonly tree: Frontier;
  private readonly from: number;
  private readonly findings: Finding[] = [];
  private unlisted = 0;
  private other: Frontier | null = null; // the tree with the last entry as its bytes have it, where the hash that is kept of it is another
  private forked = "";
  private broken = false; // a hash is not known: the roots from there on cannot be computed
  private last: string; // the hash of the entry before, as the tree has it
  private time: string;
  private readonly agents: Map<string, string>;
  private readonly given: Set<string>;
  private readonly gone = new Gone();
  private readonly said: Gone["ranges"] = []; // what own entries said that was retired
  private readonly empty: number[] = [];
  private readonly tiles: { index: number; root: Uint8Array }[] = [];
  private readonly rotations = new Map<number, string>();
  private readonly revocations: { seq: number; key: string; from: unknown }[] = [];
  private readonly told: Told = { entries: 0, retired: [], erased: 0, erasedBy: [], late: 0, lateAt: null, lateMin: 0, signatures: 0 };

  constructor(private readonly asked: Asked) {
    const { since, checkpoint } = asked;
    this.size = checkpoint.size;
    this.from = since?.size ?? 0;
    this.tree = since ? Frontier.of(since.size, since.nodes.map((each) => unhex(each))) : new Frontier();
    this.last = since?.last ?? "0".repeat(64);
    this.time = since?.time ?? "";
    this.agents = new Map(since?.agents);
    this.given = new Set(since?.given);
  }

  async run(): Promise<Report> {
    const { signal, progress, checkpoint } = this.asked;
    const started = performance.now();
    const seconds = (): number => (performance.now() - started) / 1000;
    let shown = 0;
    const tell = (): void => progress({ done: this.tree.size, total: this.size, perS: (this.tree.size - this.from) / Math.max(seconds(), 1e-3), findings: this.findings.length + this.unlisted });
    const read = this.reading();
    let here = await read();
    while (here) {
      const after = await read(); // its first entry vouches for the last one here
      await this.join(here, after);
      here = after;
      if (performance.now() - shown > TELL_MS) {
        shown = performance.now();
        tell();
        await breathe();
      }
      signal.throwIfAborted();
    }
    await this.finish();
    tell();
    const clean = this.findings.length === 0;
    const state: State = { size: this.size, nodes: this.tree.nodes(), last: this.last, time: this.time, agents: [...this.agents], given: [...this.given] };
    return { from: this.from, size: this.size, root: hex(checkpoint.root), findings: this.findings, unlisted: this.unlisted, told: this.told, state: clean ? state : null, seconds: seconds() };
  }

  /** Bundles in order, some read ahead of the one that is checked. */
  private reading(): () => Promise<Shown | undefined> {
    const end = Math.ceil(this.size / TILE);
    let next = Math.floor(this.from / TILE);
    const waiting: Promise<Shown>[] = [];
    return async () => {
      while (waiting.length < AHEAD && next < end) {
        const reading = bundle(next, this.size, this.gone, this.asked.signal);
        reading.catch(() => {}); // it is told where it is waited for
        waiting.push(reading);
        next += 1;
      }
      return waiting.shift();
    };
  }

  private add(kind: Kind, seq: number | null, said: string, to?: number): void {
    const detail = short(said, SAID);
    const before = this.findings.at(-1);
    if (before && seq !== null && before.kind === kind && before.detail === detail && (before.to ?? (before.seq ?? -2) + 1) === seq) before.to = to ?? seq + 1;
    else if (this.findings.length < LISTED) this.findings.push({ kind, seq, detail, ...(to !== undefined && { to }) });
    else this.unlisted += 1;
  }

  private async join({ index, entries, hashes }: Shown, after: Shown | undefined): Promise<void> {
    const start = index * TILE;
    const next = after?.entries[0];
    const parsed = entries.map((bytes, at) => (bytes instanceof Uint8Array ? this.parse(bytes, start + at) : null));
    const leaves = entries.map((bytes) => (bytes instanceof Uint8Array ? leafOf(bytes) : null));
    const stored = hashes instanceof Error ? null : hashes;
    if (!stored && hashes instanceof Error) this.add("unverifiable", start, `the hashes that the log keeps of its entries cannot be read: ${hashes.message}`, start + entries.length);
    const chosen: Uint8Array[] = [];
    for (const [at, bytes] of entries.entries()) {
      const seq = start + at;
      const leaf = leaves[at] ?? null;
      const link = at + 1 < entries.length ? (parsed[at + 1]?.prev ?? null) : next instanceof Uint8Array ? claimed(next) : null;
      const hash = this.judge(seq, bytes!, leaf, stored?.[at] ?? null, link, parsed[at] !== null);
      if (hash) chosen.push(hash);
      if (seq < this.from) continue;
      if (seq === this.size - 1 && leaf && hash !== leaf) {
        this.other = this.tree.copy();
        this.other.append(leaf);
      }
      const entry = parsed[at];
      if (entry) await this.follow(entry, bytes as Uint8Array, hash);
      if (hash && !this.broken) this.tree.append(hash);
      else {
        this.broken = true;
        this.tree.size += 1;
      }
      this.last = hash ? hex(hash) : "";
      this.compare();
    }
    if (chosen.length === TILE) this.tiles.push({ index, root: rootOf(chosen) });
  }

  private parse(bytes: Uint8Array, seq: number): LogEntry | null {
    try {
      return parseEntry(bytes, seq);
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      if (seq >= this.from) this.add("altered", seq, `its bytes are not this entry: ${error.message}`);
      return null;
    }
  }

  /** What is wrong with one entry, and the hash by which the tree goes on: four things vouch for an entry, and each tells on the others. */
  private judge(seq: number, bytes: Shown["entries"][number], leaf: Uint8Array | null, stored: Uint8Array | null, link: string | null, isEntry: boolean): Uint8Array | null {
    const look = seq >= this.from;
    if (bytes instanceof Error) {
      const missing = bytes instanceof Problem && bytes.status === 404;
      if (look) this.add(missing ? "missing" : "unverifiable", seq, missing ? "it is not there, and no entry of the log says that it was retired" : `it cannot be read: ${bytes.message}`);
      return stored;
    }
    if (bytes === null) {
      if (look) this.empty.push(seq);
      return stored;
    }
    if (!leaf || !stored || same(leaf, stored)) return leaf;
    const kept = hex(stored);
    if (link === hex(leaf)) {
      if (look) this.add("altered", seq, "the hash that the log keeps of it is not that of its bytes; its bytes are right, the next entry says so");
      return leaf;
    }
    if (look && isEntry) this.add("altered", seq, `its bytes are not those that were recorded: their hash is not the one that the ${link === kept ? "next entry and the tree have" : "tree has"}`);
    return stored;
  }

  private async follow(entry: LogEntry, bytes: Uint8Array, hash: Uint8Array | null): Promise<void> {
    const { seq, prev, recorded_at: at, record, submitter, signature } = entry;
    const sound = hash !== null && same(hash, leafOf(bytes));
    if (this.last && prev !== this.last && sound) this.add("altered", seq, "its `prev` is not the hash of the entry before");
    if (at < this.time) this.add("altered", seq, `it was recorded at ${at}, and one before it at ${this.time}`);
    else this.time = at;
    this.told.entries += 1;
    if (submitter === "log" || seq === 0) this.own(entry);
    else this.lateness(seq, String(record.time ?? ""), at);
    if (signature) await this.agent(entry, bytes);
  }

  /** What the log's own entries say, in order. */
  private own({ seq, record, submitter }: LogEntry): void {
    const ext = isObject(record.ext) ? record.ext : {};
    const { terms } = this.asked;
    if (seq === 0) {
      const first = terms[0]!.key;
      if (submitter !== "log" || record.type !== "log.created" || ext["log.origin"] !== first.name || ext["log.vkey"] !== first.text) this.add("altered", 0, "it does not begin the log of this key and name");
    } else if (record.type === "log.created") this.add("altered", seq, "it begins a log where one has begun already");
    if (record.type === "log.key_rotated") this.rotations.set(seq, String(ext["log.vkey"]));
    if (record.type === "log.key_revoked") this.revocations.push({ seq, key: String(ext["log.vkey"]), from: ext["log.from"] });
    if (record.type === "log.content_erased" && Array.isArray(ext["log.erased"])) this.erased(seq, ext["log.erased"].length);
    this.said.push(...retiredIn(record, seq));
    const id = ext["log.key_id"];
    if (typeof id !== "string") return;
    if (record.type === "log.access_revoked") this.agents.delete(id);
    else if (record.type === "log.access_granted") {
      if (this.given.has(id)) this.add("altered", seq, `it gives the key id ${id} for a second time`);
      this.given.add(id);
      this.agents.set(id, String(ext["log.public_key"]));
    }
  }

  private erased(seq: number, places: number): void {
    this.told.erased += places;
    if (this.told.erasedBy.length < 3) this.told.erasedBy.push(seq);
  }

  private lateness(seq: number, time: string, at: string): void {
    const late = (Date.parse(at) - Date.parse(time)) / 60_000;
    if (!(late > LATE_MIN)) return;
    this.told.late += 1;
    if (late > this.told.lateMin) Object.assign(this.told, { lateMin: late, lateAt: seq });
  }

  private async agent(entry: LogEntry, bytes: Uint8Array): Promise<void> {
    const { key, sig } = entry.signature!;
    const granted = this.agents.get(key);
    if (granted === undefined) return this.add("unverifiable", entry.seq, `it is signed with the agent's key ${key}, which no entry before it puts in force`);
    let good = false;
    try {
      good = await holds(await importPoint(base64(granted)), base64(sig), signedOf(this.asked.checkpoint.origin, bytes, entry));
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
    }
    if (good) this.told.signatures += 1;
    else this.add("altered", entry.seq, `the signature of the agent's key ${key} does not hold: this is not what the agent signed`);
  }

  /** With what this browser saw of the log before; at the same size it is compared with the signed root. */
  private compare(): void {
    const { seen } = this.asked;
    if (!seen || this.broken || seen.size !== this.tree.size || seen.size === this.size || hex(this.tree.root()) === seen.root) return;
    this.forked = `at size ${seen.size} this browser saw another root, signed by the log`;
  }

  private async finish(): Promise<void> {
    for (const seq of this.empty) {
      const by = this.said.find(({ from, to }) => from <= seq && seq < to);
      if (by) {
        if (!this.told.retired.some((each) => each.by === by.by && each.from === by.from)) this.told.retired.push(by);
      } else this.add("missing", seq, "it is said to be retired, and no entry of the log says so");
    }
    const { checkpoint, terms } = this.asked;
    for (const { key, start } of terms.slice(1)) {
      if (start >= this.from && start < this.size && this.rotations.get(start) !== key.text) this.add("altered", start, `it should have put the key ${key.id} in force, and does not`);
    }
    for (const [seq] of this.rotations) if (!terms.some(({ start }) => start === seq)) this.add("altered", seq, "it rotates the log's key, which the log's proof of its keys does not say");
    for (const { seq, key, from } of this.revocations) {
      const term = terms.find((each) => each.key.text === key);
      if (!isCount(from) || term?.revoked == null || term.revoked > from) this.add("altered", seq, "it revokes a key of the log, which the log's proof of its keys does not say");
    }
    if (this.broken) this.add("unverifiable", null, `the root cannot be computed, because hashes of entries are not there: that of size ${this.size} was not compared with the signed one`);
    else {
      const acquitted = this.other !== null && same(this.other.root(), checkpoint.root);
      if (acquitted) this.acquit();
      await this.above(acquitted || same(this.tree.root(), checkpoint.root));
    }
    if (this.forked) this.add("forked", null, this.forked);
  }

  /** Nothing follows the last entry: of its bytes and the hash that is kept of it, the signed root says which is right. */
  private acquit(): void {
    const last = this.findings.find(({ seq, kind }) => seq === this.size - 1 && kind === "altered");
    if (last) last.detail = "the hash that the log keeps of it is not that of its bytes; its bytes are right, the signed root says so";
  }

  /** The hashes above the leaves, of which receipts are made, against those that were computed here. Where the entries do not give the signed root they tell where. */
  private async above(right: boolean): Promise<void> {
    const detail = right
      ? "the hash that the log keeps of these entries together is not the one that theirs give: receipts that need it do not hold"
      : "among these entries something is not what was recorded: their hashes do not give the one that the tree has of them";
    const before = this.findings.length + this.unlisted;
    let below = new Map(this.tiles.map(({ index, root }) => [index, root]));
    for (let level = 1; below.size > 0; level++) {
      const next = new Map<number, Uint8Array>();
      for (const index of new Set([...below.keys()].map((at) => Math.floor(at / TILE)))) {
        const nodes = await this.kept(level, index, right);
        nodes.forEach((node, at) => {
          const place = index * TILE + at;
          const own = below.get(place);
          if (own && !same(own, node)) this.add("altered", place * TILE ** level, detail, (place + 1) * TILE ** level);
        });
        const all = nodes.map((_, at) => below.get(index * TILE + at)).filter((each) => each !== undefined);
        if (all.length === TILE) next.set(index, rootOf(all));
      }
      if (!right && this.findings.length + this.unlisted > before) return; // the smallest stretch tells most
      below = next;
    }
    if (!right) this.add("altered", null, `the entries that are shown do not give the root that was signed for size ${this.size}`);
  }

  private async kept(level: number, index: number, right: boolean): Promise<Uint8Array[]> {
    try {
      return await tile(level, index, this.size, this.asked.signal);
    } catch (error) {
      if (this.asked.signal.aborted) throw error;
      const low = index * TILE ** (level + 1);
      if (right) this.add("unverifiable", low, `hashes that the log keeps of these entries together cannot be read: ${String(error)}`, Math.min(low + TILE ** (level + 1), this.size));
      return [];
    }
  }
}

/** What an entry says of the one before it. */
const claimed = (bytes: Uint8Array): string | null => /^\{"prev":"([0-9a-f]{64})"/.exec(String.fromCharCode(...bytes.subarray(0, 80)))?.[1] ?? null;

/** Let the page do what it has to do; a page that nobody sees has nothing to do, and its timers wait long. */
const breathe = (): Promise<void> => (document.hidden ? Promise.resolve() : new Promise((go) => setTimeout(go)));

