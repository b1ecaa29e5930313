// The address of a statement: its text, its parameters, the size of the log that is asked. Apart from the workbench, which is large.

import { type Given, parametersOf, readGiven, writeGiven } from "./parameters";

export interface Draft {
  sql: string;
  given: Record<string, Given>;
  asOf: string;
}

const SIZE = /^[1-9]\d{0,15}$/;
export const isSize = (text: string): boolean => SIZE.test(text);

export function placeOf({ sql, given, asOf }: Draft): string {
  const said = new URLSearchParams({ sql });
  writeGiven(said, Object.fromEntries(parametersOf(sql).flatMap((name) => (Object.hasOwn(given, name) ? [[name, given[name]!]] : []))));
  if (isSize(asOf)) said.set("as_of", asOf);
  return `#/ask?${said}`;
}

export function draftOf(query: URLSearchParams): Draft | undefined {
  const sql = query.get("sql");
  const asOf = query.get("as_of") ?? "";
  return sql === null ? undefined : { sql, given: readGiven(query), asOf: isSize(asOf) ? asOf : "" };
}
