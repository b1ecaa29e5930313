// What is looked at, as it stands in the address. In the fragment: what an investigator looks for is sent to nobody, and is in no access log.

import { BY_NAME, SHOWN } from "./columns";

export interface Filter {
  column: string;
  value: string | null;
  not: boolean;
}

export interface View {
  text: string;
  range: Range;
  filters: Filter[];
  columns: string[];
}

/** Since so long, or between two instants; null is open. */
export type Range = { last: string } | { from: string | null; to: string | null };
export type Place =
  | { page: "search"; view: View }
  | { page: "record"; seq: number }
  | { page: "first" }
  | { page: "other"; path: string; query: string };

export const LASTS: Readonly<Record<string, { label: string; ms: number }>> = {
  "1h": { label: "Last hour", ms: 3_600_000 },
  "24h": { label: "Last 24 hours", ms: 86_400_000 },
  "7d": { label: "Last 7 days", ms: 7 * 86_400_000 },
  "30d": { label: "Last 30 days", ms: 30 * 86_400_000 },
};
const INSTANT = /^\d{4}-\d\d-\d\d(T\d\d:\d\d:\d\d(\.\d{1,6})?Z)?$/;
const NONE = "~"; // stands for NULL; a value that begins with it has it twice

export const EVERYTHING: View = { text: "", range: { from: null, to: null }, filters: [], columns: [...SHOWN] };

/** An instant as people type it, or null: a day, or a time in UTC, with or without T, Z, seconds. */
export function parseInstant(text: string): string | null {
  let given = text.trim().toUpperCase().replace(/\s*UTC$/, "Z").replace(" ", "T");
  if (given.length > 10 && !given.endsWith("Z")) given += "Z";
  given = given.replace(/(T\d\d:\d\d)Z$/, "$1:00Z");
  return INSTANT.test(given) && !Number.isNaN(Date.parse(given)) ? given : null;
}

export function parsePlace(hash: string): Place {
  const [path = "", query = ""] = hash.replace(/^#/, "").split(/\?(.*)/s);
  const record = /^\/record\/(0|[1-9]\d{0,15})$/.exec(path);
  if (record) return { page: "record", seq: Number(record[1]) };
  if (path === "/first") return { page: "first" };
  if (path === "" || path === "/" || path === "/search") return { page: "search", view: parseView(query) };
  return { page: "other", path, query };
}

export function parseView(query: string): View {
  const given = new URLSearchParams(query);
  const filters: Filter[] = [];
  for (const [key, value] of given) {
    const [how, column = ""] = key.split(".");
    if ((how === "is" || how === "not") && BY_NAME.has(column)) {
      filters.push({ column, value: value === NONE ? null : value.replace(/^~~/, NONE), not: how === "not" });
    }
  }
  const chosen = (given.get("columns") ?? "").split(",").filter((name) => BY_NAME.has(name));
  return { text: given.get("q") ?? "", range: parseRange(given), filters, columns: chosen.length ? chosen : [...SHOWN] };
}

export function parseRange(given: URLSearchParams): Range {
  const last = given.get("last");
  if (last !== null && Object.hasOwn(LASTS, last)) return { last };
  return { from: parseInstant(given.get("from") ?? ""), to: parseInstant(given.get("to") ?? "") };
}

export function formatView(view: View): string {
  const said = new URLSearchParams();
  if (view.text) said.set("q", view.text);
  formatRange(view.range, said);
  for (const { column, value, not } of view.filters) {
    said.append(`${not ? "not" : "is"}.${column}`, value === null ? NONE : value.replace(/^~/, "~~"));
  }
  if (view.columns.join() !== SHOWN.join()) said.set("columns", view.columns.join());
  const query = said.toString();
  return `#/search${query && `?${query}`}`;
}

export function formatRange(range: Range, said: URLSearchParams): void {
  if ("last" in range) said.set("last", range.last);
  else {
    if (range.from) said.set("from", range.from);
    if (range.to) said.set("to", range.to);
  }
}

/** A filter added; the same one again, or its opposite, replaced. */
export function filtered(view: View, filter: Filter): View {
  const others = view.filters.filter((each) => each.column !== filter.column || each.value !== filter.value);
  return { ...view, filters: [...others, filter] };
}

export function unfiltered(view: View, filter: Filter): View {
  return { ...view, filters: view.filters.filter((each) => each !== filter) };
}

/** The range as two instants, now. */
export function instants(range: Range): { from: string | null; to: string | null } {
  if ("last" in range) return { from: new Date(Date.now() - LASTS[range.last]!.ms).toISOString(), to: null };
  return range;
}

/** The address that is there, with something else said behind its `?`. */
export function resaid(change: (said: URLSearchParams) => void): string {
  const [path = "", query = ""] = location.hash.split(/\?(.*)/s);
  const said = new URLSearchParams(query);
  change(said);
  return `${path}${said.size ? `?${said}` : ""}`;
}

/** The address of a session, and of what is looked at there. */
export function sessionAt(id: string, by: string | null, tab?: string): string {
  const said = new URLSearchParams();
  if (by !== null) said.set("by", by);
  if (tab) said.set("tab", tab);
  const query = said.toString();
  return `#/session/${encodeURIComponent(id)}${query && `?${query}`}`;
}
