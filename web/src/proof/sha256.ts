// SHA-256 (FIPS 180-4) as plain code. WebCrypto's is asked for one hash at a time and answers later, which for the hundreds of thousands of short ones of a log costs many
// times the hashing; `agrees` compares the two before anything is believed.

const K = new Int32Array(64);
const START = new Int32Array(8);
{
  // The first 32 bits of the fractional parts of the cube roots of the first 64 primes, and of the square roots of the first 8.
  const fraction = (root: number): number => ((root - Math.floor(root)) * 2 ** 32) | 0;
  for (let n = 2, found = 0; found < 64; n++) {
    let prime = true;
    for (let by = 2; by * by <= n; by++) if (n % by === 0) prime = false;
    if (!prime) continue;
    if (found < 8) START[found] = fraction(Math.sqrt(n));
    K[found++] = fraction(Math.cbrt(n));
  }
}
const W = new Int32Array(64);
const STATE = new Int32Array(8);

function block(data: Uint8Array, at: number): void {
  for (let i = 0; i < 16; i++, at += 4) W[i] = (data[at]! << 24) | (data[at + 1]! << 16) | (data[at + 2]! << 8) | data[at + 3]!;
  for (let i = 16; i < 64; i++) {
    const x = W[i - 15]!;
    const y = W[i - 2]!;
    const s0 = ((x >>> 7) | (x << 25)) ^ ((x >>> 18) | (x << 14)) ^ (x >>> 3);
    const s1 = ((y >>> 17) | (y << 15)) ^ ((y >>> 19) | (y << 13)) ^ (y >>> 10);
    W[i] = (W[i - 16]! + s0 + W[i - 7]! + s1) | 0;
  }
  let a = STATE[0]!, b = STATE[1]!, c = STATE[2]!, d = STATE[3]!, e = STATE[4]!, f = STATE[5]!, g = STATE[6]!, h = STATE[7]!;
  for (let i = 0; i < 64; i++) {
    const s1 = ((e >>> 6) | (e << 26)) ^ ((e >>> 11) | (e << 21)) ^ ((e >>> 25) | (e << 7));
    const t1 = (h + s1 + ((e & f) ^ (~e & g)) + K[i]! + W[i]!) | 0;
    const s0 = ((a >>> 2) | (a << 30)) ^ ((a >>> 13) | (a << 19)) ^ ((a >>> 22) | (a << 10));
    const t2 = (s0 + ((a & b) ^ (a & c) ^ (b & c))) | 0;
    h = g; g = f; f = e; e = (d + t1) | 0; d = c; c = b; b = a; a = (t1 + t2) | 0;
  }
  STATE[0] = (STATE[0]! + a) | 0; STATE[1] = (STATE[1]! + b) | 0; STATE[2] = (STATE[2]! + c) | 0; STATE[3] = (STATE[3]! + d) | 0;
  STATE[4] = (STATE[4]! + e) | 0; STATE[5] = (STATE[5]! + f) | 0; STATE[6] = (STATE[6]! + g) | 0; STATE[7] = (STATE[7]! + h) | 0;
}

/** SHA-256 of one byte and what follows it: RFC 6962 tells leaves (0), nodes (1) and this log's commitments (2) apart by it. */
export function tagged(tag: number, ...parts: Uint8Array[]): Uint8Array {
  const length = parts.reduce((sum, part) => sum + part.length, 1);
  const padded = new Uint8Array((((length + 8) >> 6) + 1) << 6);
  padded[0] = tag;
  parts.reduce((at, part) => (padded.set(part, at), at + part.length), 1);
  return digest(padded, length);
}

export function sha256(data: Uint8Array): Uint8Array {
  const padded = new Uint8Array((((data.length + 8) >> 6) + 1) << 6);
  padded.set(data);
  return digest(padded, data.length);
}

function digest(padded: Uint8Array, length: number): Uint8Array {
  padded[length] = 0x80;
  const view = new DataView(padded.buffer);
  view.setUint32(padded.length - 8, Math.floor(length / 2 ** 29));
  view.setUint32(padded.length - 4, length << 3);
  STATE.set(START);
  for (let at = 0; at < padded.length; at += 64) block(padded, at);
  const hash = new Uint8Array(32);
  const out = new DataView(hash.buffer);
  STATE.forEach((word, index) => out.setInt32(4 * index, word));
  return hash;
}

/** Whether this code and the browser's own agree on random input of every length up to three blocks. */
export async function agrees(): Promise<boolean> {
  const random = crypto.getRandomValues(new Uint8Array(200));
  for (let length = 0; length <= random.length; length++) {
    const data = random.slice(0, length);
    const theirs = new Uint8Array(await crypto.subtle.digest("SHA-256", data));
    if (!sha256(data).every((byte, at) => byte === theirs[at])) return false;
  }
  return true;
}
