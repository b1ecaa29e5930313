// A case is what its notes say: records of type `note` about the resource `case` of an id. ADR 0034.

import { json, type Question } from "./api";

export type Act = "open" | "note" | "close" | "reopen";

export interface Note {
  id: string;
  case: string;
  act: Act;
  text: string;
  entries: number[];
}

const OF_CASES = `"type" = 'note' AND resource_type = 'case' AND resource_id IS NOT NULL`;

/** Every case with its title, and whether it is open; the open ones first, the newest first. */
export const CASES: Question = {
  sql: `SELECT resource_id AS id, arg_min(request_text, seq) FILTER (ext->>'case.act' = 'open') AS title, min(recorded_at) AS opened_at, arg_min(submitter, seq) AS opened_by,
  max(recorded_at) AS last_at, count(*) AS notes, coalesce(arg_max(ext->>'case.act', seq) FILTER (ext->>'case.act' IN ('open', 'close', 'reopen')), 'open') = 'close' AS closed
FROM records WHERE ${OF_CASES} GROUP BY resource_id ORDER BY closed, last_at DESC LIMIT 500`,
  parameters: {},
};

/** The notes of one case, in the order in which the log has them. */
export const notesOf = (id: string): Question => ({
  sql: `SELECT seq, recorded_at, submitter, ext->>'case.act' AS act, request_text, request_text_commitment, ext->'case.entries' AS entries
FROM records WHERE ${OF_CASES} AND resource_id = $id ORDER BY seq LIMIT 2000`,
  parameters: { id },
});

/** Write one down. The same `id` again is the same note: sending it twice is safe. */
export const write = (note: Note): Promise<{ seq: number }> =>
  json("/v1/records", {
    method: "POST",
    body: {
      id: note.id,
      type: "note",
      time: new Date().toISOString(),
      resource: { type: "case", id: note.case },
      request: { origin: "human", text: note.text },
      ext: { "case.act": note.act, ...(note.entries.length > 0 && { "case.entries": note.entries }) },
    },
  });

const LETTERS = "abcdefghjkmnpqrstuvwxyz23456789";

/** A new case's id: the day, and five letters that nobody has to spell twice. */
export function newCase(): string {
  const random = crypto.getRandomValues(new Uint8Array(5));
  return `${new Date().toISOString().slice(0, 10)}-${[...random].map((each) => LETTERS[each % LETTERS.length]).join("")}`;
}

/** What `request_text` says: JSON, a text as the console writes it. */
export function words(json: string): string {
  try {
    const said: unknown = JSON.parse(json);
    return typeof said === "string" ? said : json;
  } catch {
    return json;
  }
}

/** Numbers of entries, as somebody types them. Throws what is no number. */
export function entriesOf(text: string): number[] {
  const seqs = text.split(/[\s,]+/).filter(Boolean).map((part) => {
    if (!/^(0|[1-9]\d{0,14})$/.test(part)) throw new Error(`${part} is no entry's number`);
    return Number(part);
  });
  if (seqs.length > 100) throw new Error("a note names at most 100 entries");
  return [...new Set(seqs)];
}
