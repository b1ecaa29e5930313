// How far something reached: what the blast-radius page asks. The conditions are those of the named questions of the group `reach`.

import type { Answer, Question, Value } from "./api";
import type { Asked } from "./asking";
import { BARS, TROUBLE } from "./sql";
import { EVERYTHING, type Filter, instants, LASTS, parseInstant, type Range, type View } from "./view";

export interface What {
  name: string;
  label: string;
  about: string;
  sql: string; // its condition, of $value
  value: string; // the values there are
  column: string; // by which the search filters
}

export const WHATS: readonly What[] = [
  { name: "credential", label: "Credential", about: "A key or a token that agents acted with: its id or its thumbprint", sql: "(identity_credential->>'id' = $value OR identity_credential->>'thumbprint' = $value)", value: "coalesce(identity_credential->>'id', identity_credential->>'thumbprint')", column: "credential" },
  { name: "agent", label: "Agent", about: "An agent, itself and through others that acted for it", sql: "(identity_agent_id = $value OR identity_agent_name = $value OR coalesce(list_contains(json_extract_string(identity_actors, '$[*].sub'), $value), false))", value: "coalesce(identity_agent_id, identity_agent_name)", column: "agent" },
  { name: "tool", label: "Tool", about: "A tool, by its name", sql: "tool_name = $value", value: "tool_name", column: "tool_name" },
  { name: "server", label: "Tool server", about: "Where tools come from: its address or name", sql: "tool_server = $value", value: "tool_server", column: "tool_server" },
  { name: "user", label: "User", about: "A person who asked, or in whose name it was done: the id, or a commitment", sql: "(request_user = $value OR request_user_commitment = $value OR identity_principal = $value OR identity_principal_commitment = $value)", value: "coalesce(identity_principal, identity_principal_commitment, request_user, request_user_commitment)", column: "identity_principal" },
  { name: "resource", label: "Resource", about: "What was acted on: its id, name, or where it leads", sql: "(resource_id = $value OR resource_name = $value OR resource_destination = $value)", value: "coalesce(resource_id, resource_name, resource_destination)", column: "resource_id" },
  { name: "submitter", label: "Ledger token", about: "A credential of this ledger: everything that was recorded with it", sql: "submitter = $value", value: "submitter", column: "submitter" },
];

/** What is reached, and the column of the search that finds it again. */
export interface Side {
  name: string;
  label: string;
  sql: string;
  column: string;
}

export const SIDES: readonly Side[] = [
  { name: "session", label: "Sessions", sql: "session_id", column: "session_id" },
  { name: "resource", label: "Resources", sql: "coalesce(resource_id, resource_name, resource_destination)", column: "resource_id" },
  { name: "user", label: "Users", sql: "coalesce(identity_principal, identity_principal_commitment, request_user, request_user_commitment)", column: "identity_principal" },
  { name: "destination", label: "Destinations", sql: "resource_destination", column: "resource_destination" },
  { name: "effect", label: "Effects", sql: "tool_effect", column: "tool_effect" },
  { name: "tool", label: "Tools", sql: "tool_name", column: "tool_name" },
  { name: "agent", label: "Agents", sql: "coalesce(identity_agent_id, identity_agent_name)", column: "agent" },
];
export const EACH = 50;
const VALUES = 200;
const DONE = "coalesce(execution = 'observed' AND outcome_status IS DISTINCT FROM 'denied', false)";
const DENIED = "coalesce(policy_effect = 'deny' OR outcome_status = 'denied' OR approval_outcome = 'rejected', false)";

/** What is looked at, as it stands in the address. */
export interface Blast {
  what: What;
  value: string;
  range: Range;
}

export function readBlast(query: URLSearchParams): Blast {
  const last = query.get("last");
  const range: Range = last !== null && Object.hasOwn(LASTS, last) ? { last } : { from: parseInstant(query.get("from") ?? ""), to: parseInstant(query.get("to") ?? "") };
  const what = WHATS.find(({ name }) => name === query.get("what")) ?? WHATS[1]!;
  return { what, value: query.get("value") ?? "", range };
}

export function placeOfBlast({ what, value, range }: Blast): string {
  const said = new URLSearchParams({ what: what.name });
  if (value) said.set("value", value);
  if ("last" in range) said.set("last", range.last);
  else {
    if (range.from) said.set("from", range.from);
    if (range.to) said.set("to", range.to);
  }
  return `#/blast?${said}`;
}

/** The values that there are, the most used first, with how often and since when. */
export const valuesOf = ({ value }: What): Question => ({
  sql: `SELECT ${value} AS value, count(*) AS n, min("time") AS first FROM actions WHERE ${value} IS NOT NULL GROUP BY ALL ORDER BY n DESC, value LIMIT ${VALUES}`,
  parameters: {},
});

function condition({ what, value, range }: Blast): { sql: string; parameters: Record<string, Value> } {
  const { from, to } = instants(range);
  const parts = [what.sql];
  const parameters: Record<string, Value> = { value };
  for (const [name, at, compare] of [["from", from, ">="], ["to", to, "<"]] as const) {
    if (at === null) continue;
    parts.push(`"time" ${compare} $${name}`);
    parameters[name] = { type: "timestamp", value: at };
  }
  return { sql: parts.join(" AND "), parameters };
}

/** All counts in one pass: rows of (what, value, n, done, denied, first, last, seq of the first, how many values there are). */
export function reaching(blast: Blast): Question {
  const { sql, parameters } = condition(blast);
  const { from, to } = instants(blast.range);
  const columns = SIDES.map((side, index) => `${side.sql} AS c${index}`).join(", ");
  const sets = SIDES.map((_, index) => `(c${index})`).join(", ");
  const which = SIDES.map((side, index) => `WHEN grouping(c${index}) = 0 THEN '${side.name}'`).join(" ");
  const value = SIDES.map((_, index) => `WHEN grouping(c${index}) = 0 THEN c${index}`).join(" ");
  return {
    sql: `WITH hit AS MATERIALIZED (SELECT epoch_us("time") AS us, "time" AS t, seq, ${TROUBLE} AS trouble, ${DONE} AS done, ${DENIED} AS denied, ${columns} FROM actions WHERE ${sql}),
span AS MATERIALIZED (SELECT ${from === null ? "min(us)" : "min(epoch_us($from))"} AS lo, ${to === null ? "max(us) + 1" : "max(epoch_us($to))"} AS hi FROM hit),
placed AS (SELECT hit.*, CAST((us - lo) * ${BARS} // greatest(hi - lo, 1) AS BIGINT) AS bar FROM hit, span),
counted AS (SELECT CASE ${which} WHEN grouping(trouble) = 0 THEN if(trouble, '@trouble', '@bar') ELSE '@all' END AS what,
CASE ${value} WHEN grouping(bar) = 0 THEN CAST(bar AS VARCHAR) END AS value, count(*) AS n, count(*) FILTER (done) AS done, count(*) FILTER (denied) AS denied,
min(t) AS first, max(t) AS last, arg_min(seq, (us, seq)) AS seq
FROM placed GROUP BY GROUPING SETS ((), (bar, trouble), ${sets}))
SELECT what, value, n, done, denied, first, last, seq, count(value) OVER (PARTITION BY what) AS values_n FROM counted
QUALIFY what LIKE '@%' OR (value IS NOT NULL AND row_number() OVER (PARTITION BY what ORDER BY value IS NULL, n DESC, value) <= ${EACH})
UNION ALL SELECT '@first', NULL, lo, 0, 0, NULL, NULL, NULL, 0 FROM span UNION ALL SELECT '@last', NULL, hi, 0, 0, NULL, NULL, NULL, 0 FROM span`,
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

/** In the search: the same window, as near as one filter comes to the condition, and a value more. */
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
  all: { n: number; done: number; denied: number; first: string; last: string };
  sides: Map<string, { values: Reached[]; of: number }>;
  counts: Map<string, [string | null, number][]>;
  answer: Answer;
}

export function reachOf(answer: Answer): Reach {
  const reach: Reach = { all: { n: 0, done: 0, denied: 0, first: "", last: "" }, sides: new Map(), counts: new Map(), answer };
  for (const [what, value, n, done, denied, first, last, seq, of] of answer.rows) {
    const name = String(what);
    if (name === "@all") reach.all = { n: Number(n), done: Number(done), denied: Number(denied), first: String(first ?? ""), last: String(last ?? "") };
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
