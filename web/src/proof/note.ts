// Keys, signed notes, checkpoints, cosignatures: c2sp.org/signed-note, tlog-checkpoint, tlog-cosignature. Ed25519 is the browser's own.

import { base64, decimal, hex, refuse, textOf, unhex, utf8 } from "./bytes";
import { sha256 } from "./sha256";

export interface Key {
  name: string;
  id: string;
  algorithm: number;
  public: CryptoKey;
  text: string; // name+id+key
}

interface Signature {
  name: string;
  id: string;
  bytes: Uint8Array<ArrayBuffer>;
}

export interface Note {
  text: string;
  signatures: Signature[];
}

export interface Checkpoint {
  origin: string;
  size: number;
  root: Uint8Array;
}

const ED25519 = 1;
const COSIGNATURE = 4;
const LATEST = 8.64e12; // in seconds since 1970: what Date can tell
const P = 2n ** 255n - 19n;
const ORDER = 2n ** 252n + 27742317777372353535851937790883648493n;
const D = 37095705934669439343138083508754565189542113879843219016388785533085940283555n;
type Point = [bigint, bigint, bigint, bigint];
const mod = (number: bigint): bigint => ((number % P) + P) % P;

function power(base: bigint, exponent: bigint): bigint {
  let result = 1n;
  for (; exponent; exponent >>= 1n, base = (base * base) % P) if (exponent & 1n) result = (result * base) % P;
  return result;
}

function plus([x1, y1, z1, t1]: Point, [x2, y2, z2, t2]: Point): Point {
  const a = (y1 - x1) * (y2 - x2);
  const b = (y1 + x1) * (y2 + x2);
  const c = (((2n * D * t1) % P) * t2) % P;
  const d = 2n * z1 * z2;
  const [e, f, g, h] = [mod(b - a), mod(d - c), mod(d + c), mod(b + a)];
  return [(e * f) % P, (g * h) % P, (f * g) % P, (e * h) % P];
}

/** In canonical encoding, on the curve and of the group's order (RFC 8032, 5.1): WebCrypto does not ask, and libraries judge signatures under other points differently. */
function isOfTheGroup(point: Uint8Array): boolean {
  if (point.length !== 32) return false;
  const number = BigInt(`0x${hex(point.slice().reverse())}`);
  const y = number & (2n ** 255n - 1n);
  const u = mod(y * y - 1n);
  const v = mod(D * y * y + 1n);
  let x = power(u * power(v, P - 2n) % P, (P + 3n) / 8n);
  if (((x * x) % P) * v % P !== u) x = (x * power(2n, (P - 1n) / 4n)) % P;
  if (y >= P || x === 0n || ((x * x) % P) * v % P !== u) return false;
  if ((x & 1n) !== number >> 255n) x = P - x;
  let sum: Point = [0n, 1n, 1n, 0n];
  let part: Point = [x, y, 1n, x * y % P];
  for (let left = ORDER; left; left >>= 1n, part = plus(part, part)) if (left & 1n) sum = plus(sum, part);
  return sum[0] === 0n && sum[1] === sum[2];
}

const points = new Map<string, Promise<CryptoKey>>();

/** A public key, once for each: looking at the point takes some milliseconds. */
export function importPoint(point: Uint8Array): Promise<CryptoKey> {
  const name = hex(point);
  const known = points.get(name) ?? imported(point);
  points.set(name, known);
  return known;
}

async function imported(point: Uint8Array): Promise<CryptoKey> {
  if (!isOfTheGroup(point)) refuse("its point must not be used");
  return crypto.subtle.importKey("raw", new Uint8Array(point), { name: "Ed25519" }, false, ["verify"]).catch(() => refuse("its key is none of Ed25519"));
}

/** A verifier key, `name+id+key`: of a log, or of a witness. */
export async function parseKey(text: string, algorithm = ED25519): Promise<Key> {
  const [name = "", id = "", ...rest] = text.split("+");
  const data = base64(rest.join("+"));
  if (!name || /[\s\x00-\x1f\x85]/u.test(name) || !/^[0-9a-f]{8}$/.test(id) || data[0] !== algorithm || data.length !== 33) {
    refuse(algorithm === ED25519 ? "it is no verifier key of a log: name+id+key" : "it is no verifier key of a witness");
  }
  if (hex(sha256(new Uint8Array([...utf8(`${name}\n`), ...data])).subarray(0, 4)) !== id) refuse("its id is not that of its key: the key was changed or mistyped");
  return { name, id, algorithm, public: await importPoint(data.subarray(1)), text };
}

export const parseWitnessKey = (text: string): Promise<Key> => parseKey(text, COSIGNATURE);

/** As people read it out to each other: SHA-256 of the key's text. */
export const fingerprint = (key: string): string => hex(sha256(utf8(key))).match(/.{8}/g)!.join(" ");

export const holds = async (key: CryptoKey, signature: Uint8Array<ArrayBuffer>, message: Uint8Array<ArrayBuffer>): Promise<boolean> =>
  signature.length === 64 && crypto.subtle.verify("Ed25519", key, signature, message);

export function parseNote(data: Uint8Array | string): Note {
  const text = typeof data === "string" ? data : textOf(data);
  const end = text.lastIndexOf("\n\n");
  if (text.length > 1e5 || /[\x00-\x09\x0b-\x1f]/.test(text) || end < 0 || !text.endsWith("\n")) refuse("it is no signed note");
  const lines = text.slice(end + 2, -1).split("\n");
  if (lines.length > 100) refuse("it has more than 100 signatures");
  return { text: text.slice(0, end + 1), signatures: lines.map(parseSignature) };
}

function parseSignature(line: string): Signature {
  const found = /^\u2014 ([^ ]+) ([^ ]+)$/u.exec(line) ?? refuse("a line of it is no signature");
  const name = found[1]!;
  if (name.includes("+") || /\s|\x85/u.test(name)) refuse("a line of it is no signature");
  const data = base64(found[2]!);
  return data.length > 4 ? { name, id: hex(data.subarray(0, 4)), bytes: data.slice(4) } : refuse("a signature of it is empty");
}

export const signedBy = (note: Note, key: Key): Signature[] => note.signatures.filter((each) => each.name === key.name && each.id === key.id);

/** Every line of the key holds, and there is one. */
export async function checkSignature(note: Note, key: Key): Promise<void> {
  const own = signedBy(note, key);
  if (!own.length) refuse(`it is not signed by the key ${key.id} of ${key.name}, but by ${note.signatures.map((each) => `${each.name} (${each.id})`).join(", ")}`);
  for (const each of own) if (!(await holds(key.public, each.bytes, utf8(note.text)))) refuse("its signature does not hold under the key");
}

/** When a witness says that he cosigned, in seconds since 1970; null where he did not. */
export async function cosignedAt(note: Note, key: Key): Promise<number | null> {
  for (const { bytes } of signedBy(note, key)) {
    if (bytes.length !== 72) refuse("its cosignature has another length than one of Ed25519");
    const at = Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0));
    if (at > LATEST) refuse("its cosignature is of a time that no calendar has");
    if (!(await holds(key.public, bytes.slice(8), utf8(`cosignature/v1\ntime ${at}\n${note.text}`)))) refuse("its cosignature does not hold under the witness's key");
    return at;
  }
  return null;
}

export function parseCheckpoint(text: string): Checkpoint {
  const [origin = "", size = "", root = "", ...more] = text.slice(0, -1).split("\n");
  if (!text.endsWith("\n") || !root || !origin || !size || more.some((each) => !each)) refuse("it is no checkpoint");
  const checkpoint = { origin, size: decimal(size), root: base64(root) };
  return checkpoint.root.length === 32 ? checkpoint : refuse("its root is no hash");
}

/** Whether this browser checks Ed25519, and refuses what it must: RFC 8032, 7.1, TEST 2. */
export async function supported(): Promise<boolean> {
  try {
    const point = unhex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c");
    const key = await crypto.subtle.importKey("raw", new Uint8Array(point), { name: "Ed25519" }, false, ["verify"]);
    const good = new Uint8Array(unhex("92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"));
    const said = (byte: number): Promise<boolean> => crypto.subtle.verify("Ed25519", key, good, new Uint8Array([byte]));
    return (await said(0x72)) && !(await said(0x73));
  } catch {
    return false;
  }
}
