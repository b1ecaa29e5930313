// Entries (docs/format.md): canonical JSON (RFC 8785, narrowed), their members, the bundles they come in, what their submitters signed.

import { base64, isCount, isObject, refuse, textOf, unhex, utf8 } from "./bytes";
import { tagged } from "./sha256";

export interface LogEntry {
  prev: string;
  record: { [name: string]: unknown };
  recorded_at: string;
  seq: number;
  signature?: { key: string; sig: string };
  submitter: string;
}

const DEPTH = 16;
const UNICODE = /[\ud800-\udfff]/u;
const KEY = /^[A-Za-z0-9_.:/-]{1,128}$/;

/** The one text of a value. */
export function canonical(value: unknown, depth = DEPTH): string {
  if (value === null || typeof value === "boolean") return String(value);
  if (typeof value === "number") return Number.isSafeInteger(value) && !Object.is(value, -0) ? String(value) : refuse("a number in it is no integer of the format");
  if (typeof value === "string") return UNICODE.test(value) ? refuse("a text in it is no Unicode") : JSON.stringify(value);
  if (depth === 0) refuse("it is nested too deep");
  if (Array.isArray(value)) return `[${value.map((each) => canonical(each, depth - 1)).join(",")}]`;
  const members = value as { [name: string]: unknown };
  const said = Object.keys(members).sort().map((key) => (KEY.test(key) ? `${JSON.stringify(key)}:${canonical(members[key], depth - 1)}` : refuse("a key in it is none of the format")));
  return `{${said.join(",")}}`;
}

export function parseCanonical(text: string): unknown {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    refuse("it is not JSON");
  }
  return canonical(value) === text ? value : refuse("its JSON is not in canonical form");
}

const PLAIN = "prev,record,recorded_at,seq,submitter,v";
const SIGNED = "prev,record,recorded_at,seq,signature,submitter,v";
const TIME = /^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z$/;

/** Browsers take a 30th of February for one of March. */
function isInstant(at: string): boolean {
  const time = Date.parse(at);
  return !Number.isNaN(time) && new Date(time).toISOString().startsWith(at.slice(0, 19));
}

/** Without its number: of a whole row of entries that were moved it is one finding. */
export const OF_ANOTHER = "they are those of another entry; it was moved, or one before it put in or taken out";

export function parseEntry(bytes: Uint8Array, seq: number): LogEntry {
  if (bytes.length > 65_535) refuse("it is longer than an entry can be");
  const entry = parseCanonical(textOf(bytes));
  const names = isObject(entry) ? Object.keys(entry).join() : "";
  if (!isObject(entry) || (names !== PLAIN && names !== SIGNED)) return refuse("it is no entry");
  const { prev, record, recorded_at: at, submitter, signature } = entry;
  const first = prev === "0".repeat(64);
  if (entry.v !== 1 || !isCount(entry.seq) || typeof prev !== "string" || !/^[0-9a-f]{64}$/.test(prev) || (seq === 0) !== first || typeof submitter !== "string" || !submitter || !isObject(record)) {
    refuse("its members are not those of an entry");
  }
  if (typeof at !== "string" || !TIME.test(at) || !isInstant(at)) refuse("a time of it is none");
  if (names === SIGNED) {
    const good = isObject(signature) && Object.keys(signature).join() === "key,sig" && typeof signature.key === "string" && typeof signature.sig === "string" && base64(signature.sig).length === 64;
    if (!good) refuse("its signature is none");
  }
  return entry.seq === seq ? (entry as unknown as LogEntry) : refuse(OF_ANOTHER);
}

/** The entries of a bundle (c2sp.org/tlog-tiles): each after its length in two bytes. */
export function parseBundle(data: Uint8Array, width: number): Uint8Array[] {
  const entries: Uint8Array[] = [];
  let at = 0;
  while (at < data.length) {
    const end = at + 2 + ((data[at]! << 8) | (data[at + 1] ?? 0));
    if (end > data.length) refuse("a bundle ends in the middle of an entry");
    entries.push(data.subarray(at + 2, end));
    at = end;
  }
  return entries.length === width ? entries : refuse(`a bundle holds ${entries.length} entries, not ${width}`);
}

/** The path of a tile or bundle. */
export function tilePath(level: number | "entries", index: number, width: number): string {
  let path = String(index % 1000).padStart(3, "0");
  for (let rest = Math.floor(index / 1000); rest; rest = Math.floor(rest / 1000)) path = `x${String(rest % 1000).padStart(3, "0")}/${path}`;
  return `/tile/${level}/${path}${width < 256 ? `.p/${width}` : ""}`;
}

/** What an agent signed of its entry: the record's own bytes, behind what binds them to this log. */
export function signedOf(origin: string, bytes: Uint8Array, entry: LogEntry): Uint8Array<ArrayBuffer> {
  const text = textOf(bytes);
  const { prev, recorded_at, seq, signature, submitter } = entry;
  const head = `{"prev":"${prev}","record":`;
  const tail = `,"recorded_at":${JSON.stringify(recorded_at)},"seq":${seq},"signature":${JSON.stringify(signature)},"submitter":${JSON.stringify(submitter)},"v":1}`;
  return utf8(`agent-ledger record v1\n${origin}\n${text.slice(head.length, text.length - tail.length)}`);
}

export const commitment = (salt: string, value: string): Uint8Array => tagged(2, unhex(salt), utf8(value));

/** The value of a member by its path, `tool.arguments`. */
export function memberOf(record: unknown, path: string): unknown {
  return path.split(".").reduce<unknown>((value, name) => (isObject(value) && Object.hasOwn(value, name) ? value[name] : null), record);
}
