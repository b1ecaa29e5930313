// What the console asks of `actions`. A view is two statements, one for all counts and one for the rows; values go as parameters, never as text.

import type { Question, Value } from "./api";
import { COUNTED, known } from "./columns";
import { instants, type View } from "./view";

export const BARS = 72;
export const VALUES = 8;
export const PAGE_ROWS = 100;
const FACTS = [
  "id", "action_id", "tool_name", "tool_server", "identity_agent_id", "identity_agent_name", "resource_id", "resource_name", "resource_destination",
  "request_conversation_id", "policy_rule", "policy_reason", "outcome_error_type",
];
const CONTENTS = ["request_user", "identity_principal", "request_text", "tool_arguments", "decision_reason", "outcome_result"];

interface Condition {
  sql: string;
  parameters: Record<string, Value>;
}

function condition(view: View, contents: boolean): Condition {
  const parts: string[] = [];
  const parameters: Record<string, Value> = {};
  const { from, to } = instants(view.range);
  for (const [name, value, compare] of [["from", from, ">="], ["to", to, "<"]] as const) {
    if (value === null) continue;
    parts.push(`"time" ${compare} $${name}`);
    parameters[name] = { type: "timestamp", value };
  }
  view.filters.forEach(({ column, value, not }, index) => {
    if (value === null) parts.push(`${known(column).sql} IS ${not ? "NOT " : ""}NULL`);
    else {
      const same = finding(column, `$is${index}`);
      parts.push(not ? `NOT coalesce(${same}, false)` : same);
      parameters[`is${index}`] = value;
    }
  });
  const text = view.text.trim();
  if (text) {
    const columns = contents ? [...FACTS, ...CONTENTS] : FACTS;
    parts.push(`(${columns.map((name) => `contains(lower(${name}), lower($text))`).join(" OR ")})`);
    parameters.text = text;
  }
  return { sql: parts.join(" AND ") || "true", parameters };
}

/** The condition that an action has a value in a column: `parameter` stands for the value. */
export function finding(column: string, parameter: string): string {
  const { sql, kind, finds } = known(column);
  return finds?.replaceAll("$value", () => parameter) ?? `${kind === "text" ? sql : `CAST(${sql} AS VARCHAR)`} = ${parameter}`;
}

// As `sessions` and `denials` have it: that an approval expired, or that nobody saw an outcome, is no denial.
export const DENIED = "coalesce(policy_effect = 'deny' OR outcome_status = 'denied' OR approval_outcome = 'rejected', false)";
export const FAILED = "coalesce(outcome_status IN ('failure', 'timeout'), false)";
export const TROUBLE = "coalesce(policy_effect = 'deny' OR outcome_status IN ('denied', 'failure', 'timeout') OR approval_outcome IN ('rejected', 'expired'), false)";

// In which bar a time is, of those from `lo` to `hi`. Where these are thousands of years apart its microseconds are too many to be multiplied: then it is counted in a few at a time.
export const UNIT = "1 + (hi - lo) // 100000000000000000";
export const BAR = `CAST((us - lo) // unit * ${BARS} // greatest((hi - lo) // unit, 1) AS BIGINT)`;

/** All counts of a view in one pass: rows of (what, value, count), where what is a column, `@all`, `@first`, `@last`, `@bar` or `@trouble`. */
export function counting(view: View, contents: boolean): Question {
  const { sql, parameters } = condition(view, contents);
  const { from, to } = instants(view.range);
  const columns = COUNTED.map((name, index) => `${known(name).sql} AS c${index}`).join(", ");
  const sets = COUNTED.map((_, index) => `(c${index})`).join(", ");
  const which = COUNTED.map((name, index) => `WHEN grouping(c${index}) = 0 THEN '${name}'`).join(" ");
  const value = COUNTED.map((_, index) => `WHEN grouping(c${index}) = 0 THEN c${index}`).join(" ");
  const first = from === null ? "min(us)" : "min(epoch_us($from))";
  const last = to === null ? "max(us) + 1" : "max(epoch_us($to))";
  return {
    sql: `WITH hit AS MATERIALIZED (SELECT epoch_us("time") AS us, ${TROUBLE} AS trouble, ${columns} FROM actions WHERE ${sql}),
span AS MATERIALIZED (SELECT *, ${UNIT} AS unit FROM (SELECT ${first} AS lo, ${last} AS hi FROM hit)),
placed AS (SELECT hit.*, ${BAR} AS bar FROM hit, span),
counted AS (SELECT CASE ${which} WHEN grouping(trouble) = 0 THEN if(trouble, '@trouble', '@bar') ELSE '@all' END AS what,
CASE ${value} WHEN grouping(bar) = 0 THEN CAST(bar AS VARCHAR) END AS value, count(*) AS n
FROM placed GROUP BY GROUPING SETS ((), (bar, trouble), ${sets}))
SELECT what, value, n FROM counted QUALIFY what LIKE '@%' OR row_number() OVER (PARTITION BY what ORDER BY n DESC, value) <= ${VALUES + 1}
UNION ALL SELECT '@first', NULL, lo FROM span UNION ALL SELECT '@last', NULL, hi FROM span`,
    parameters,
  };
}

/** The rows of a view, newest first: seq, time, trouble, then the columns. */
export function listing(view: View, contents: boolean): Question {
  const { sql, parameters } = condition(view, contents);
  const columns = view.columns.map((name) => known(name).sql).join(", ");
  return {
    sql: `SELECT seq, "time", ${TROUBLE}, ${columns} FROM actions WHERE ${sql} ORDER BY "time" DESC, seq DESC`,
    parameters,
    limit: PAGE_ROWS,
  };
}

/** All entries that a view's actions are told by. */
export function telling(view: View, contents: boolean): { sql: string; parameters: Record<string, Value> } {
  const { sql, parameters } = condition(view, contents);
  return {
    sql: `WITH hit AS MATERIALIZED (SELECT seq, first_seq, last_seq, action_id FROM actions WHERE ${sql})
SELECT unnest([seq, first_seq, last_seq]) AS seq FROM hit UNION SELECT records.seq FROM records SEMI JOIN hit USING (action_id)`,
    parameters,
  };
}

/** Everything that is known of the action that an entry tells of: its only record, its first or last, or one between that names it. */
export const oneAction = (seq: number): Question => ({ sql: `WITH ${TOLD} SELECT * ${TOLD_OF}`, parameters: { seq }, limit: 1 });

/** The same within a statement: the one before, then `SELECT …` this. */
export const TOLD = "told AS MATERIALIZED (SELECT submitter AS who, action_id AS what FROM records WHERE seq = $seq)";
export const TOLD_OF = `FROM actions WHERE seq = $seq OR first_seq = $seq OR last_seq = $seq
OR (first_seq < $seq AND last_seq > $seq AND action_id = (SELECT what FROM told) AND submitter = (SELECT who FROM told))
ORDER BY seq = $seq DESC LIMIT 1`;

/** How often a value was seen, since when and until when, and where it was first and last. */
export function seen(column: string, value: string): Question {
  return {
    sql: `SELECT count(*), min("time"), max("time"), arg_min(seq, "time"), arg_max(seq, "time"), count(*) FILTER (WHERE ${TROUBLE}) FROM actions WHERE ${finding(column, "$value")}`,
    parameters: { value },
  };
}
