// What can be asked of: tables with their columns, and the named questions. Asked for once by whoever is signed in; neither is an entry of the log.

import { json, type Who } from "./api";

export interface Described {
  name: string;
  type: string;
  kind: string; // fact, content, person, commitment
  about: string;
  term: string;
  values: string[];
}

export interface Table {
  name: string;
  answers: string;
  columns: Described[];
}

export interface Parameter {
  name: string;
  type: "text" | "integer" | "boolean" | "timestamp";
  required: boolean;
  default: string | number | boolean | null;
  about: string;
}

export interface Named {
  name: string;
  title: string;
  answers: string;
  group: string;
  standard: string;
  parameters: Parameter[];
  columns: { name: string; about: string }[];
  sql: string;
}

export interface Catalog {
  groups: Record<string, string>;
  queries: Named[];
}

function once<T>(load: () => Promise<T>): (who: Who) => Promise<T> {
  const loaded = new WeakMap<Who, Promise<T>>();
  return (who) => {
    const before = loaded.get(who);
    if (before) return before;
    const now = load();
    loaded.set(who, now);
    now.catch(() => loaded.delete(who));
    return now;
  };
}

export const tablesFor = once(async () => (await json<{ tables: Table[] }>("/v1/schema")).tables);
export const questionsFor = once(() => json<Catalog>("/v1/queries"));
