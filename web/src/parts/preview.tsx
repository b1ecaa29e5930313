import type { ComponentChildren } from "preact";
import { count, Shown, Time } from "../text";
import { Name, Pill } from "./ways";

export interface Dry {
  as_of: number;
  selection: string;
  entries: number;
  contents: number;
  persons: number;
  places: number;
  ranges: [number, number][];
  ranges_in_all: number;
  persons_named_in: number;
  types: Record<string, number>;
  members: Record<string, number>;
  first_at: string | null;
  last_at: string | null;
  segments: { start: number; end: number; entries: number; bytes: number }[];
  holds: { hold: string; reason: string; entries: number }[];
  stays?: { facts: number | null; contents: number | null; some: number[] }; // of a subject: where its identifier stands besides; null where that takes too long to find
  requested_by?: string;
  ground?: string;
  chosen_by?: Choice; // for the second pair of eyes: in which words it was asked for
}

/** In which words an erasure was chosen. */
export interface Choice {
  subject?: string;
  seqs?: number[];
  ids?: string[];
  sql?: string;
  take?: string[];
  members?: string[];
}

/** How much goes, as the last step has it typed: places; or persons, where no entry that is left names them. */
export const amount = (dry: Dry): number => dry.places || dry.persons;

/** What would go, exactly; what keeps it; what stays all the same. */
export function Preview({ dry, by }: { dry: Dry; by: Choice }) {
  if (amount(dry) === 0) {
    return (
      <div class="nothing">
        <h2>Nothing would go</h2>
        <p class="dim">
          Nothing there is what was named, or it is erased already: <Chosen by={by} />.
        </p>
      </div>
    );
  }
  const bytes = dry.segments.reduce((sum, each) => sum + each.bytes, 0);
  return (
    <section class="card preview" aria-label="What would go">
      <h2>What would go</h2>
      <p class="sum">
        <b>{count(dry.contents)}</b> contents and <b>{count(dry.persons)}</b> {dry.persons === 1 ? "person" : "persons"} of <b>{count(dry.entries)}</b> {dry.entries === 1 ? "entry" : "entries"}
      </p>
      {dry.holds.map((each) => (
        <p class="problem" role="alert" key={each.hold}>
          <Pill text="held" tone="bad" /> <Name text={each.hold} />: <Shown text={each.reason} />. {each.entries > 0 ? `It keeps ${count(each.entries)} of these entries` : "It keeps a person whom they name"}: nothing goes until it is released.
        </p>
      ))}
      <dl>
        <Row name="Chosen">
          <Chosen by={by} />
        </Row>
        {dry.first_at && dry.last_at && (
          <Row name="Recorded">
            <Time at={dry.first_at} /> – <Time at={dry.last_at} />
          </Row>
        )}
        <Row name="Of types">
          <Counts of={dry.types} />
        </Row>
        <Row name="Members">
          <Counts of={dry.members} />
        </Row>
        <Row name="Entries">
          {dry.ranges.slice(0, 12).map(([start, end]) => (
            <a key={start} href={`#/record/${start}`} class="range-of">
              {end - start === 1 ? start : `${start}–${end - 1}`}
            </a>
          ))}
          {dry.ranges_in_all > 12 && <span class="dim"> and {count(dry.ranges_in_all - 12)} more ranges</span>}
        </Row>
        {dry.persons > 0 && <Row name="Named in">{count(dry.persons_named_in)} entries in all: a person goes from every one</Row>}
        <Row name="Made anew">{dry.segments.length === 0 ? "no sealed segment" : `${count(dry.segments.length)} sealed segments, ${(bytes / 1e6).toFixed(1)} MB`}</Row>
        {dry.stays && (
          <Row name="Stays">
            {dry.stays.facts === 0 && dry.stays.contents === 0 ? (
              "nothing else has the identifier in it"
            ) : (
              <>
                the identifier in facts of {many(dry.stays.facts)}, in contents of {many(dry.stays.contents)} that were not chosen{" "}
                {dry.stays.some.slice(0, 12).map((seq) => (
                  <a key={seq} href={`#/record/${seq}`} class="range-of">
                    {seq}
                  </a>
                ))}
              </>
            )}
          </Row>
        )}
        <Row name="Of the log at">
          size {count(dry.as_of)}, selection <code>{dry.selection.slice(0, 16)}…</code>
        </Row>
      </dl>
    </section>
  );
}

/** The words that it was chosen by; blanks at the ends of an identifier are no slip of the eye. */
function Chosen({ by: { subject, seqs = [], ids = [], sql, take = [], members = [] } }: { by: Choice }) {
  const of = [take.join(" and "), members.join(", ")].filter(Boolean).join(": ");
  return (
    <>
      {subject !== undefined && (
        <>
          the person <Name text={subject} />
          {subject !== subject.trim() && <Pill text="with a blank at an end" tone="warn" />}
        </>
      )}
      {sql !== undefined && (
        <code>
          <Shown text={sql} lines />
        </code>
      )}
      {seqs.length > 0 && `${many(seqs.length)}, by number`} {ids.length > 0 && `${many(ids.length)}, by id`}
      {of && <span class="dim"> · {of}</span>}
    </>
  );
}

const many = (entries: number | null): string => (entries === null ? "entries that take too long to count" : entries === 1 ? "1 entry" : `${count(entries)} entries`);

function Row({ name, children }: { name: string; children: ComponentChildren }) {
  return (
    <div class="row">
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

function Counts({ of }: { of: Record<string, number> }) {
  return (
    <>
      {Object.entries(of).map(([name, n]) => (
        <span class="counted" key={name}>
          <Name text={name} /> <small>{count(n)}</small>
        </span>
      ))}
    </>
  );
}
