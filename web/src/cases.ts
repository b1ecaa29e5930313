// A case is what its notes say: records of type `note` about the resource `case` of an id. ADR 0034.

import { json, type Question } from "./api";

export type Act = "open" | "note" | "close" | "reopen";

export interface Note {
  id: string;
  case: string;
  time: string;
  act: Act;
  text: string;
  entries: number[];
}

/** What somebody is writing, and what of it was sent last. */
export interface Draft {
  case: string;
  text: string;
  entries: string;
  sent?: Note;
}

export const MOST_CASES = 500;
export const MOST_ENTRIES = 100; // that a note is about
const OF_CASES = `"type" = 'note' AND resource_type = 'case' AND resource_id IS NOT NULL`;
const ACT = "ext->>'case.act'";
const TURNS = `FILTER (${ACT} IN ('open', 'close', 'reopen'))`;

/** Every case with its title, and whether it is open; the open ones first, the newest first. */
export const CASES: Question = {
  sql: `SELECT resource_id AS id, arg_min(request_text, seq) FILTER (${ACT} = 'open') AS title, min(recorded_at) AS opened_at, arg_min(submitter, seq) AS opened_by,
  max(recorded_at) AS last_at, count(*) AS notes, coalesce(arg_max(${ACT}, seq) ${TURNS}, 'open') = 'close' AS closed, count(*) OVER () AS cases
FROM records WHERE ${OF_CASES} GROUP BY resource_id ORDER BY closed, last_at DESC`,
  parameters: {},
};

/** The newest notes of one case, the newest first; each row says how many there are in all, and whether the case is closed by what all of them say. */
export const notesOf = (id: string, most: number): Question => ({
  sql: `SELECT seq, recorded_at, submitter, ${ACT} AS act, request_text, request_text_commitment, ext->'case.entries' AS entries,
  count(*) OVER () AS notes, coalesce(arg_max(${ACT}, seq) ${TURNS} OVER (), 'open') = 'close' AS closed
FROM records WHERE ${OF_CASES} AND resource_id = $id ORDER BY seq DESC`,
  parameters: { id },
  limit: most,
});

/** Write one down. The same note again is taken once: sending it twice is safe. */
export const write = ({ id, case: name, time, act, text, entries }: Note): Promise<{ seq: number }> =>
  json("/v1/records", {
    method: "POST",
    body: {
      id,
      type: "note",
      time,
      resource: { type: "case", id: name },
      request: { origin: "human", text },
      ext: { "case.act": act, ...(entries.length > 0 && { "case.entries": entries }) },
    },
  });

/** The note that a draft is now: as it was sent it is the same, id and time with it, so that one whose answer was lost is written once. Changed since, it is another. */
export function noteOf(draft: Draft, act: Act): Note {
  const said = { case: draft.case, act, text: draft.text.trim(), entries: entriesOf(draft.entries) };
  const { id, time, ...before } = draft.sent ?? { id: "", time: "" };
  if (JSON.stringify(before) !== JSON.stringify(said)) draft.sent = { id: crypto.randomUUID(), time: new Date().toISOString(), ...said };
  return draft.sent!;
}

const drafts = new Map<string, Draft>();

/** What somebody was writing in a case, or in a new one, when their session ended: it waits in this page's memory, for them alone. */
export function draftOf(who: string, id: string | undefined): Draft {
  const key = JSON.stringify([who, id]);
  const found = drafts.get(key) ?? { case: id ?? newCase(), text: "", entries: "" };
  drafts.set(key, found);
  return found;
}

export const written = (who: string, id: string | undefined): boolean => drafts.delete(JSON.stringify([who, id]));

const LETTERS = "abcdefghjkmnpqrstuvwxyz23456789";

/** A new case's id: the day, and five letters that nobody has to spell twice. */
function newCase(): string {
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
function entriesOf(text: string): number[] {
  const seqs = text.split(/[\s,]+/).filter(Boolean).map((part) => {
    if (!/^(0|[1-9]\d{0,14})$/.test(part)) throw new Error(`${part} is no entry's number`);
    return Number(part);
  });
  if (seqs.length > MOST_ENTRIES) throw new Error(`a note names at most ${MOST_ENTRIES} entries`);
  return [...new Set(seqs)];
}
