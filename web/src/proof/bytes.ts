/** What a page must not believe: said in words, and never an error of the page's own. */
export class Refused extends Error {}

export const refuse = (why: string): never => {
  throw new Refused(why);
};

const encoder = new TextEncoder();
const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
export const utf8 = (text: string): Uint8Array<ArrayBuffer> => encoder.encode(text);
export const hex = (bytes: Uint8Array): string => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
export const unhex = (text: string): Uint8Array => Uint8Array.from(text.match(/../g) ?? [], (pair) => parseInt(pair, 16));

export function same(one: Uint8Array, other: Uint8Array): boolean {
  return one.length === other.length && one.every((byte, at) => byte === other[at]);
}

export function textOf(bytes: Uint8Array): string {
  try {
    return strict.decode(bytes);
  } catch {
    return refuse("it is not UTF-8");
  }
}

/** Base64 in its only spelling. */
export function base64(encoded: string): Uint8Array<ArrayBuffer> {
  let raw = "";
  try {
    raw = atob(encoded);
  } catch {
    refuse("it is not base64");
  }
  if (btoa(raw) !== encoded) refuse("it is not base64 in its only spelling");
  return Uint8Array.from(raw, (character) => character.charCodeAt(0));
}

export const toBase64 = (bytes: Uint8Array): string => btoa(String.fromCharCode(...bytes));

/** A number of entries, as notes write it. */
export function decimal(digits: string): number {
  const value = /^(0|[1-9]\d{0,15})$/.test(digits) ? Number(digits) : Number.NaN;
  return Number.isSafeInteger(value) ? value : refuse("a number is not written as it must be");
}

export const isObject = (value: unknown): value is { [name: string]: unknown } => typeof value === "object" && value !== null && !Array.isArray(value);
export const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;
