// `$name` in a statement: which there are, of which type, and from what is typed to what is sent.

import type { Value } from "./api";
import { parseInstant } from "./view";

export const KINDS = ["text", "integer", "double", "boolean", "timestamp", "date", "text[]", "null"] as const;
export type Kind = (typeof KINDS)[number];
export const KIND_NAMES: Readonly<Record<Kind, string>> = {
  text: "text",
  integer: "integer",
  double: "number",
  boolean: "true or false",
  timestamp: "time (UTC)",
  date: "day",
  "text[]": "list of texts",
  null: "nothing (NULL)",
};
export const HINTS: Readonly<Record<Kind, string>> = {
  text: "",
  integer: "42",
  double: "0.5",
  boolean: "true",
  timestamp: "2026-11-21 09:30",
  date: "2026-11-21",
  "text[]": "one, another",
  null: "",
};

/** A value as it is typed. */
export interface Given {
  kind: Kind;
  text: string;
}

// What is no code: texts, names in quotes, comments, and texts between dollars.
const SKIPPED = /\b[eE]'(?:[^'\\]|\\[\s\S]|'')*'|'(?:[^']|'')*'|"(?:[^"]|"")*"|--[^\n]*|\/\*[\s\S]*?\*\/|\$([A-Za-z_]\w*)?\$[\s\S]*?\$\1\$|\$([A-Za-z_]\w{0,62})/g;

/** The parameters of a statement, in the order in which they come first. */
export function parametersOf(sql: string): string[] {
  const names = new Set<string>();
  for (const [, , name] of sql.matchAll(SKIPPED)) if (name !== undefined) names.add(name);
  return [...names];
}

/** What a parameter is most likely, by its name. */
export function likely(name: string): Kind {
  if (/^(since|until|from|to|at|before|after)$|_(at|until|since)$/.test(name)) return "timestamp";
  if (/^(limit|n|seq|minutes|hours|seconds|days|percent|factor|depth|times|at_least|at_most)$|_seq$/.test(name)) return "integer";
  return /s$/.test(name) && !/ss$|_s$/.test(name) ? "text[]" : "text";
}

/** What is sent for it; undefined where it is none of its kind. */
export function valueOf({ kind, text }: Given): Value | undefined {
  const given = text.trim();
  switch (kind) {
    case "text":
      return text;
    case "null":
      return null;
    case "integer":
      return /^-?(0|[1-9]\d{0,18})$/.test(given) ? { type: kind, value: given } : undefined;
    case "double":
      return given !== "" && Number.isFinite(Number(given)) ? { type: kind, value: Number(given) } : undefined;
    case "boolean":
      return /^(true|false)$/.test(given) ? given === "true" : undefined;
    case "timestamp": {
      const instant = parseInstant(given);
      return instant === null ? undefined : { type: kind, value: instant };
    }
    case "date":
      return /^\d{4}-\d\d-\d\d$/.test(given) && !Number.isNaN(Date.parse(given)) ? { type: kind, value: given } : undefined;
    case "text[]":
      return { type: kind, value: given === "" ? [] : given.split(",").map((each) => each.trim()) };
  }
}

/** As it stands in an address: `p.since=timestamp:2026-11-21`. */
export function readGiven(query: URLSearchParams): Record<string, Given> {
  const found: Record<string, Given> = Object.create(null);
  for (const [key, said] of query) {
    const name = /^p\.([A-Za-z_]\w{0,62})$/.exec(key)?.[1];
    const [, kind = "", text = ""] = /^([a-z]+(?:\[\])?):([\s\S]*)$/.exec(said) ?? [];
    const known = KINDS.find((each) => each === kind);
    if (name !== undefined && known) found[name] = { kind: known, text };
  }
  return found;
}

export function writeGiven(said: URLSearchParams, given: Record<string, Given>): void {
  for (const [name, { kind, text }] of Object.entries(given)) said.set(`p.${name}`, `${kind}:${text}`);
}
