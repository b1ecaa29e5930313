// How far something reached: what the blast-radius page asks. The conditions are those of the named questions of the group `reach`.

import type { Answer, Question, Value } from "./api";
import type { Asked } from "./asking";
import { known } from "./columns";
import { BAR, DENIED, finding, TROUBLE, UNIT } from "./sql";
import { EVERYTHING, type Filter, formatRange, instants, parseRange, type Range, type View } from "./view";

/** What something may be reached with; the search filters by `column`. */
export interface What {
  name: string;
  label: string;
  about: string;
  column: string;
}

export const WHATS: readonly What[] = [
  { name: "credential", label: "Credential", about: "A key or a token that agents acted with: its id or its thumbprint", column: "by_credential" },
  { name: "agent", label: "Agent", about: "An agent, itself and through others that acted for it", column: "by_agent" },
  { name: "tool", label: "Tool", about: "A tool, by its name", column: "tool_name" },
  { name: "server", label: "Tool server", about: "Where tools come from: its address or name", column: "tool_server" },
  { name: "user", label: "User", about: "A person who asked, or in whose name it was done: the id, or a commitment", column: "by_user" },
  { name: "resource", label: "Resource", about: "What was acted on: its id, name, or where it leads", column: "on_resource" },
  { name: "submitter", label: "Ledger token", about: "A credential of this ledger: everything that was recorded with it", column: "submitter" },
];

/** What is reached; the search finds a value of it again by `column`. */
export interface Side {
  name: string;
  label: string;
  column: string;
}

export const SIDES: readonly Side[] = [
  { name: "session", label: "Sessions", column: "session_id" },
  { name: "resource", label: "Resources", column: "resource" },
  { name: "user", label: "Users", column: "person" },
  { name: "destination", label: "Destinations", column: "resource_destination" },
  { name: "effect", label: "Effects", column: "tool_effect" },
  { name: "tool", label: "Tools", column: "tool_name" },
  { name: "agent", label: "Agents", column: "agent" },
];
export const EACH = 50;
const VALUES = 200;
const DONE = "coalesce(execution = 'observed' AND outcome_status IS DISTINCT FROM 'denied', false)";

/** The window as two instants: what is told, saved and led to is all of the same one. */
export const fixed = (blast: Blast): Blast => ({ ...blast, range: instants(blast.range) });

/** What is looked at, as it stands in the address. */
export interface Blast {
  what: What;
  value: string;
  range: Range;
}

export function readBlast(query: URLSearchParams): Blast {
  const what = WHATS.find(({ name }) => name === query.get("what")) ?? WHATS[1]!;
  return { what, value: query.get("value") ?? "", range: parseRange(query) };
}

export function placeOfBlast({ what, value, range }: Blast): string {
  const said = new URLSearchParams({ what: what.name });
  if (value) said.set("value", value);
  formatRange(range, said);
  return `#/blast?${said}`;
}

/** The values that there are, the most used first, with how often. */
export function valuesOf({ column }: What): Question {
  const { sql } = known(column);
  return { sql: `SELECT ${sql} AS value, count(*) AS n FROM actions WHERE ${sql} IS NOT NULL GROUP BY ALL ORDER BY n DESC, value LIMIT ${VALUES}`, parameters: {} };
}

function condition({ what, value, range }: Blast): { sql: string; parameters: Record<string, Value> } {
  const { from, to } = instants(range);
  const parts = [finding(what.column, "$value")];
  const parameters: Record<string, Value> = { value };
  for (const [name, at, compare] of [["from", from, ">="], ["to", to, "<"]] as const) {
    if (at === null) continue;
    parts.push(`"time" ${compare} $${name}`);
    parameters[name] = { type: "timestamp", value: at };
  }
  return { sql: parts.join(" AND "), parameters };
}

/** All counts in one pass: rows of (what, value, n, done, denied, tried and neither, first, last, seq of the first, how many values there are). */
export function reaching(blast: Blast): Question {
  const { sql, parameters } = condition(blast);
  const { from, to } = instants(blast.range);
  const columns = SIDES.map((side, index) => `${known(side.column).sql} AS c${index}`).join(", ");
  const sets = SIDES.map((_, index) => `(c${index})`).join(", ");
  const which = SIDES.map((side, index) => `WHEN grouping(c${index}) = 0 THEN '${side.name}'`).join(" ");
  const value = SIDES.map((_, index) => `WHEN grouping(c${index}) = 0 THEN c${index}`).join(" ");
  return {
    sql: `WITH hit AS MATERIALIZED (SELECT epoch_us("time") AS us, "time" AS t, seq, ${TROUBLE} AS trouble, ${DONE} AS done, ${DENIED} AS denied, ${columns} FROM actions WHERE ${sql}),
span AS MATERIALIZED (SELECT *, ${UNIT} AS unit FROM (SELECT ${from === null ? "min(us)" : "min(epoch_us($from))"} AS lo, ${to === null ? "max(us) + 1" : "max(epoch_us($to))"} AS hi FROM hit)),
placed AS (SELECT hit.*, ${BAR} AS bar FROM hit, span),
counted AS (SELECT CASE ${which} WHEN grouping(trouble) = 0 THEN if(trouble, '@trouble', '@bar') ELSE '@all' END AS what,
CASE ${value} WHEN grouping(bar) = 0 THEN CAST(bar AS VARCHAR) END AS value, count(*) AS n, count(*) FILTER (done) AS done, count(*) FILTER (denied) AS denied, count(*) FILTER (NOT done AND NOT denied) AS tried,
min(t) AS first, max(t) AS last, arg_min(seq, (us, seq)) AS seq
FROM placed GROUP BY GROUPING SETS ((), (bar, trouble), ${sets}))
SELECT what, value, n, done, denied, tried, first, last, seq, count(value) OVER (PARTITION BY what) AS values_n FROM counted
QUALIFY what LIKE '@%' OR (value IS NOT NULL AND row_number() OVER (PARTITION BY what ORDER BY value IS NULL, n DESC, value) <= ${EACH})
UNION ALL SELECT '@first', NULL, lo, 0, 0, 0, NULL, NULL, NULL, 0 FROM span UNION ALL SELECT '@last', NULL, hi, 0, 0, 0, NULL, NULL, NULL, 0 FROM span`,
    parameters,
  };
}

/** The actions themselves, in order of time. */
export function everyAction(blast: Blast): Asked {
  const { sql, parameters } = condition(blast);
  return {
    sql: `SELECT "time", session_id, coalesce(identity_agent_id, identity_agent_name) AS agent, tool_name, tool_effect,
    coalesce(resource_id, resource_name, resource_destination) AS resource_id, resource_destination,
    coalesce(identity_principal, identity_principal_commitment) AS principal, policy_effect, outcome_status, seq
FROM actions
WHERE ${sql}
ORDER BY "time", seq`,
    parameters,
  };
}

/** The same actions in the search, and those of them that have a value more. */
export function inSearch({ what, value, range }: Blast, more?: Filter): View {
  const own: Filter = { column: what.column, value, not: false };
  return { ...EVERYTHING, range, filters: more ? [own, more] : [own] };
}

export interface Reached {
  value: string;
  n: number;
  done: number;
  denied: number;
  first: string;
  seq: number;
}

export interface Reach {
  all: { n: number; done: number; denied: number; tried: number; first: string; last: string };
  sides: Map<string, { values: Reached[]; of: number }>;
  counts: Map<string, [string | null, number][]>;
  answer: Answer;
}

export function reachOf(answer: Answer): Reach {
  const reach: Reach = { all: { n: 0, done: 0, denied: 0, tried: 0, first: "", last: "" }, sides: new Map(), counts: new Map(), answer };
  for (const [what, value, n, done, denied, tried, first, last, seq, of] of answer.rows) {
    const name = String(what);
    if (name === "@all") reach.all = { n: Number(n), done: Number(done), denied: Number(denied), tried: Number(tried), first: String(first ?? ""), last: String(last ?? "") };
    if (name.startsWith("@")) {
      reach.counts.set(name, [...(reach.counts.get(name) ?? []), [value === null ? null : String(value), Number(n ?? 0)]]);
      continue;
    }
    const side = reach.sides.get(name) ?? { values: [], of: Number(of) };
    side.values.push({ value: String(value), n: Number(n), done: Number(done), denied: Number(denied), first: String(first), seq: Number(seq) });
    reach.sides.set(name, side);
  }
  return reach;
}
