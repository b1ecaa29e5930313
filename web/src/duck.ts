// DuckDB's SELECT, as far as it helps to write one, and what the ledger's tables add.

import type { Completion, CompletionContext, CompletionResult } from "@codemirror/autocomplete";
import { SQLDialect } from "@codemirror/lang-sql";
import { syntaxTree } from "@codemirror/language";
import type { Table } from "./schema";

const KEYWORDS =
  "select from where group by having order limit offset distinct as and or not in is null like ilike between case when then else end join left right full inner outer cross lateral natural on using union all except intersect with recursive materialized over partition rows range preceding following unbounded current row filter within qualify window asc desc nulls first last interval cast try_cast exists any some values pivot unpivot asof positional anti semi exclude replace columns sample describe summarize grouping sets cube rollup escape similar to at time zone";
const TYPES =
  "varchar text bigint ubigint integer smallint tinyint hugeint double float decimal boolean date time timestamp timestamptz interval json blob uuid struct list map";
const FUNCTIONS: Readonly<Record<string, string>> = {
  count: "count(*) or count(x): how many rows, or values that are not NULL",
  sum: "sum(x)", avg: "avg(x)", min: "min(x)", max: "max(x)", median: "median(x)",
  quantile_cont: "quantile_cont(x, 0.99): the value below which that share lies",
  arg_min: "arg_min(what, by): what stands where `by` is least", arg_max: "arg_max(what, by): what stands where `by` is most",
  any_value: "any_value(x): one that is not NULL", list: "list(x): all values as a list", string_agg: "string_agg(x, ', ')",
  date_trunc: "date_trunc('hour', time): the beginning of its hour, day, week, month", time_bucket: "time_bucket(INTERVAL '15 minutes', time)",
  epoch_ms: "epoch_ms(time): milliseconds since 1970", age: "age(later, earlier)", strftime: "strftime(time, '%H:%M')",
  coalesce: "coalesce(a, b, …): the first that is not NULL", nullif: "nullif(a, b)", lower: "lower(text)", upper: "upper(text)", length: "length(text)",
  contains: "contains(text, part)", starts_with: "starts_with(text, beginning)", replace: "replace(text, what, by)", split_part: "split_part(text, separator, n)",
  regexp_matches: "regexp_matches(text, pattern)", regexp_extract: "regexp_extract(text, pattern, group)",
  json_extract_string: "json_extract_string(json, '$.path'): also written json->>'path'", from_json: "from_json(json, structure)",
  unnest: "unnest(list): a row for each item", list_contains: "list_contains(list, item)", list_distinct: "list_distinct(list)", list_sort: "list_sort(list)",
  row_number: "row_number() OVER (…)", lag: "lag(x) OVER (…): the value of the row before", lead: "lead(x) OVER (…)", first_value: "first_value(x) OVER (…)",
  round: "round(x, digits)", abs: "abs(x)", greatest: "greatest(a, b)", least: "least(a, b)",
};

export const DUCK = SQLDialect.define({
  keywords: `${KEYWORDS} true false`,
  types: TYPES,
  builtin: Object.keys(FUNCTIONS).join(" "),
  specialVar: "$",
  caseInsensitiveIdentifiers: true,
});

const NO_CODE = /String|Comment|QuotedIdentifier/;
const EXPECTS_TABLE = /\b(?:from|join)\s+(?:[\w"]+\s*,\s*)*\w*$/i;
const ASKS_MORE = 2;

/** What may stand at the cursor: columns of the tables that the statement names, tables behind FROM, functions, keywords. */
export function completions(tables: () => readonly Table[]) {
  const words = [...new Set(KEYWORDS.split(" "))].map((label): Completion => ({ label: label.toUpperCase(), type: "keyword", boost: -50 }));
  const functions = Object.entries(FUNCTIONS).map(([label, info]): Completion => ({ label, type: "function", info, apply: `${label}(`, boost: -20 }));
  return (context: CompletionContext): CompletionResult | null => {
    if (NO_CODE.test(syntaxTree(context.state).resolveInner(context.pos, -1).name)) return null;
    const word = context.matchBefore(/\w+/);
    const from = word?.from ?? context.pos;
    const text = context.state.doc.toString();
    const before = text.slice(0, from);
    const behind = /(\w+)\.$/.exec(before);
    if (behind) return { from, options: columnsOf(aliased(text, behind[1]!, tables())), validFor: /^\w*$/ };
    if (!context.explicit && (!word || word.to - word.from < ASKS_MORE)) return null;
    if (before.endsWith("$")) return null;
    const named = tables().map(({ name, answers }): Completion => ({ label: name, type: "type", info: answers, boost: 30 }));
    if (EXPECTS_TABLE.test(text.slice(0, context.pos))) return { from, options: named, validFor: /^\w*$/ };
    const used = tables().filter(({ name }) => new RegExp(`\\b${name}\\b`, "i").test(text));
    const columns = (used.length ? used : tables().filter(({ name }) => name === "actions")).flatMap((table) => columnsOf(table));
    return { from, options: [...distinct(columns), ...named, ...functions, ...words], validFor: /^\w*$/ };
  };
}

function aliased(text: string, alias: string, tables: readonly Table[]): Table | undefined {
  const called = (name: string): boolean => name.toLowerCase() === alias.toLowerCase() || new RegExp(`\\b${name}\\s+(?:as\\s+)?${alias}\\b`, "i").test(text);
  return tables.find(({ name }) => called(name));
}

const columnsOf = (table: Table | undefined): Completion[] =>
  (table?.columns ?? []).map(({ name, type, about, term }) => ({
    label: name,
    type: "property",
    detail: type.length > 24 ? type.slice(0, 24) : type.toLowerCase(),
    info: term ? `${about} (${term})` : about,
    apply: name === "time" ? '"time"' : name,
  }));

function distinct(options: Completion[]): Completion[] {
  const seen = new Set<string>();
  return options.filter(({ label }) => !seen.has(label) && seen.add(label));
}
