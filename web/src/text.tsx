// Values as they are shown: always as text, and what a terminal, a bidi algorithm or an eye would not show as it is becomes a visible escape.

import type { ComponentChildren } from "preact";

// Controls, format characters (bidi, zero width, tags), private use, halves of surrogate pairs, line separators, and letters that are blank.
export const UNSEEN = /[\p{Cc}\p{Cf}\p{Co}\p{Cs}\u2028\u2029\u115f\u1160\u3164\uffa0\u2800\u00a0\u2000-\u200a\u3000]/gu;
const NAMES: Readonly<Record<string, string>> = { "\n": "\\n", "\r": "\\r", "\t": "\\t", "\u001b": "ESC", "\0": "NUL" };

export const escaped = (character: string): string =>
  NAMES[character] ?? `U+${character.codePointAt(0)!.toString(16).toUpperCase().padStart(4, "0")}`;

/** The text with its escapes, set apart from the text around it whatever its direction. */
export function Shown({ text, lines = false }: { text: string; lines?: boolean }) {
  const parts: ComponentChildren[] = [];
  let at = 0;
  for (const found of text.matchAll(UNSEEN)) {
    if (lines && (found[0] === "\n" || found[0] === "\t")) continue;
    if (found.index > at) parts.push(text.slice(at, found.index));
    parts.push(<span class="escape">{escaped(found[0])}</span>);
    at = found.index + found[0].length;
  }
  parts.push(text.slice(at));
  return <bdi>{parts}</bdi>;
}

/** The same without markup, for titles and labels. */
export const plain = (text: string): string => text.replace(UNSEEN, (found) => (found === " " ? " " : `⟨${escaped(found)}⟩`));

const COUNT = new Intl.NumberFormat("en");
export const count = (number: number): string => COUNT.format(number);

/** A time of the ledger's, `2026-11-21T09:30:00.412345Z`, as people read it; always UTC. */
export function Time({ at }: { at: string }) {
  const [day = at, clock = ""] = at.replace(/Z$/, "").split("T");
  const [whole = "", fraction = ""] = clock.split(".");
  return (
    <time dateTime={at} title={`${at} (UTC)`}>
      {day} <span class="clock">{whole}</span>
      {fraction && <span class="fraction">.{fraction.slice(0, 3)}</span>}
    </time>
  );
}

export const instant = (us: number): string => new Date(us / 1000).toISOString();

/** JSON broken into lines, every value of it written as it was received; a text alone is shown as what it says, and what is no JSON stays as it is. */
export function pretty(json: string): string {
  try {
    const value: unknown = JSON.parse(json);
    return typeof value === "string" ? value : indented(json);
  } catch {
    return json;
  }
}

function indented(json: string): string {
  let depth = 0;
  const line = (): string => `\n${"  ".repeat(depth)}`;
  return (json.match(/"(?:[^"\\]|\\.)*"|[[\]{}:,]|[^\s[\]{}:,"]+/g) ?? []).reduce((lines, token, index, tokens) => {
    if (token === "{" || token === "[") {
      depth += 1;
      return lines + token + (/[}\]]/.test(tokens[index + 1] ?? "") ? "" : line());
    }
    if (token === "}" || token === "]") {
      depth -= 1;
      return lines + (/^[{[]$/.test(tokens[index - 1] ?? "") ? "" : line()) + token;
    }
    return lines + (token === "," ? `,${line()}` : token === ":" ? ": " : token);
  }, "");
}

export function short(hash: string, characters = 12): string {
  return hash.length > characters ? `${hash.slice(0, characters)}…` : hash;
}

export function duration(ns: number): string {
  for (const [unit, size] of [["h", 3.6e12], ["min", 6e10], ["s", 1e9], ["ms", 1e6], ["µs", 1e3]] as const) {
    if (ns >= size) return `${(ns / size).toPrecision(3).replace(/\.?0+$/, "")} ${unit}`;
  }
  return `${ns} ns`;
}
