import { Fragment } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { ask, json, type Problem, query, type Question } from "../api";
import { since } from "../age";
import { told, useLoaded } from "../hooks";
import type { PageProps } from "../pages";
import { amount, type Choice, type Dry, Preview } from "../parts/preview";
import { ProblemBox } from "../parts/problem";
import { Table } from "../parts/table";
import { Head, Name, Pill } from "../parts/ways";
import { count, Shown, Time } from "../text";

const LAPSES_S = 7 * 86_400; // as an erasure that waits for its second
const LOOK_MS = 3_000;
const KINDS = {
  subject: { label: "A person", hint: "their identifier, exactly as it was recorded", asks: (text: string) => ({ subject: text }) },
  entries: { label: "Entries", hint: "their numbers: 17, 18, 40-44", asks: (text: string) => ({ seqs: seqsOf(text) }) },
  sql: { label: "What a SELECT gives", hint: "SELECT seq FROM records WHERE …", asks: (text: string) => ({ sql: text.trim() }) },
} as const;
type Kind = keyof typeof KINDS;

/** Each erasure once, however many entries tell of it: what waits first, then the newest. */
const TOLD: Question = {
  sql: `WITH told AS (
  SELECT seq, recorded_at, "type" = 'log.erasure_asked' AS asked, ext->>'log.requested_by' AS requested_by, ext->>'log.ground' AS ground, ext->>'log.asked_in' AS asked_in, ext->>'log.confirmed_by' AS confirmed_by
  FROM records WHERE submitter = 'log' AND ("type" = 'log.erasure_asked' OR "type" = 'log.content_erased' AND coalesce(ext->>'log.part', '0') = '0')
), done AS (
  SELECT seq, unnest(CAST(ext->'log.done' AS BIGINT[][])) AS pair FROM records WHERE submitter = 'log' AND "type" = 'log.erasure_done'
), gone AS (
  SELECT told.seq, min(done.seq) AS done_in FROM told JOIN done ON pair[1] <= told.seq AND told.seq < pair[2] GROUP BY told.seq
)
SELECT seq, recorded_at, asked, requested_by, ground, confirmed_by, asked AND CAST(seq AS VARCHAR) NOT IN (SELECT asked_in FROM told WHERE asked_in IS NOT NULL) AS waits, done_in
FROM told LEFT JOIN gone USING (seq) ORDER BY waits DESC, seq DESC`,
  parameters: {},
  limit: 100,
};

interface Told {
  seq: number;
  at: string;
  asked: boolean;
  by: string;
  ground: string;
  confirmedBy: string | null;
  waits: boolean;
  doneIn: number | null;
}

/** An erasure: shown first, then what was shown goes. */
export function Erasure({ who }: PageProps) {
  const before = useLoaded("erasures", async (signal) =>
    (await query(TOLD, signal)).rows.map(
      ([seq, at, asked, by, ground, confirmedBy, waits, doneIn]): Told => ({
        seq: Number(seq),
        at: String(at),
        asked: asked === true,
        by: String(by ?? ""),
        ground: String(ground ?? ""),
        confirmedBy: confirmedBy === null || confirmedBy === undefined ? null : String(confirmedBy),
        waits: waits === true,
        doneIn: doneIn === null || doneIn === undefined ? null : Number(doneIn),
      }),
    ),
  );
  return (
    <main class="page work erasure">
      <Head here="#/erasure" title="Erasure" who={who}>
        Contents and persons go, from every disk of the ledger; every hash stays, so receipts and proofs hold as before. First it is shown what would go.
      </Head>
      <Asking again={before.again} />
      <h2>Asked for and done</h2>
      {before.problem && <ProblemBox problem={before.problem} again={before.again} />}
      {!before.value && !before.problem && <p class="dim">Looking…</p>}
      {before.value && before.value.length === 0 && <p class="quiet">Nothing was erased yet.</p>}
      {before.value && before.value.length > 0 && <Before told={before.value} again={before.again} />}
    </main>
  );
}

function Asking({ again }: { again: () => void }) {
  const [kind, choose] = useState<Kind>("subject");
  const [shown, show] = useState<{ body: Choice; dry: Dry }>();
  const [problem, refuse] = useState<Problem>();
  const [busy, work] = useState(false);
  const turn = useRef(0); // what was asked before the form was changed is no answer to it
  const what = useRef<HTMLTextAreaElement>(null);
  const changed = (): void => {
    turn.current += 1;
    show(undefined);
  };
  const submitted = (event: SubmitEvent): void => {
    event.preventDefault();
    const given = new FormData(event.currentTarget as HTMLFormElement);
    const take = ["contents", "persons"].filter((each) => given.has(each));
    changed();
    const asked = turn.current;
    work(true);
    refuse(undefined);
    Promise.resolve()
      .then(async () => {
        if (take.length === 0) throw new Error("say whether contents are to go, persons, or both");
        const body: Choice = { ...KINDS[kind].asks(what.current!.value), take }; // its value and not the form's: as it was typed, to the last blank
        const dry = await json<Dry>("/v1/erasure", { method: "POST", body: { ...body, dry_run: true } });
        if (asked === turn.current) show({ body, dry });
      })
      .catch((error: unknown) => asked === turn.current && refuse(told(error)))
      .finally(() => work(false));
  };
  return (
    <>
      <form class="erase card" onSubmit={submitted} onInput={changed}>
        <fieldset class="kinds">
          <legend>What is to go</legend>
          {(Object.keys(KINDS) as Kind[]).map((each) => (
            <label key={each}>
              <input type="radio" name="kind" checked={kind === each} onChange={() => choose(each)} /> {KINDS[each].label}
            </label>
          ))}
        </fieldset>
        <label class="wide">
          <span>{KINDS[kind].hint}</span>
          <textarea ref={what} rows={kind === "sql" ? 3 : 1} required spellcheck={false} key={kind} />
        </label>
        <fieldset class="kinds" key={`${kind} take`}>
          <legend>Of that</legend>
          <label>
            <input type="checkbox" name="contents" defaultChecked /> contents
          </label>
          <label>
            <input type="checkbox" name="persons" defaultChecked={kind === "subject"} /> persons
          </label>
        </fieldset>
        <button type="submit" class="main" disabled={busy}>
          {busy ? "Looking…" : "Show what would go"}
        </button>
      </form>
      {problem && <ProblemBox problem={problem} />}
      {shown && <Preview dry={shown.dry} by={shown.body} />}
      {shown && amount(shown.dry) > 0 && <Confirm key={shown.dry.selection} path="/v1/erasure" body={{ ...shown.body, as_of: shown.dry.as_of, selection: shown.dry.selection }} dry={shown.dry} again={again} />}
    </>
  );
}

/** The last step takes a ground, and the number of what goes: it is not undone. */
function Confirm({ path, body, dry, again, ground: known }: { path: string; body: object; dry: Dry; again: () => void; ground?: string }) {
  const [ground, say] = useState(known ?? "");
  const [typed, type] = useState("");
  const [done, tell] = useState<{ told_in?: number[]; asked_in?: number }>();
  const [problem, refuse] = useState<Problem>();
  const [busy, work] = useState(false);
  const ready = ground.trim() !== "" && typed.replaceAll(",", "").trim() === String(amount(dry)) && dry.holds.length === 0 && !busy;
  if (done) return <Going {...done} again={again} />;
  return (
    <form
      class="confirm"
      onSubmit={(event) => {
        event.preventDefault();
        if (!ready) return;
        work(true);
        ask(path, { method: "POST", body: known === undefined ? { ...body, ground } : body })
          .then(async (answer) => tell(await answer.json()))
          .catch((error: unknown) => refuse(told(error)))
          .finally(() => work(false));
      }}
    >
      {known === undefined && (
        <label class="wide">
          <span>On what ground. It stands in the log for ever: no person's name</span>
          <input value={ground} onInput={(event) => say(event.currentTarget.value)} placeholder="request 4711, GDPR Art. 17" spellcheck={false} />
        </label>
      )}
      <label>
        <span>
          Type <b>{amount(dry)}</b>, how many {dry.places ? "places" : "persons"} go
        </span>
        <input value={typed} onInput={(event) => type(event.currentTarget.value)} inputMode="numeric" autocomplete="off" />
      </label>
      <button type="submit" class="main danger" disabled={!ready}>
        {busy ? "Writing it…" : "Erase for good"}
      </button>
      {problem && <ProblemBox problem={problem} />}
    </form>
  );
}

interface State {
  seqs: number[];
  done_in: number | null;
  ground: string;
}

/** How far it is, until it is off the disk; asking that is no question of the log. */
function Going({ told_in: toldIn, asked_in: askedIn, again }: { told_in?: number[]; asked_in?: number; again: () => void }) {
  const [state, set] = useState<State>();
  const [problem, refuse] = useState<Problem>();
  const first = toldIn?.[0];
  useEffect(() => {
    if (first === undefined) return again();
    let timer = 0;
    const ending = new AbortController();
    const look = (): void => {
      json<State>(`/v1/erasure/${first}`, { signal: ending.signal, poll: true }).then(
        (found) => {
          set(found);
          if (found.done_in === null) timer = setTimeout(look, LOOK_MS);
          else again();
        },
        (error: unknown) => ending.signal.aborted || refuse(told(error)),
      );
    };
    look();
    return () => {
      ending.abort();
      clearTimeout(timer);
    };
  }, [first]);
  if (problem) return <ProblemBox problem={problem} />;
  if (askedIn !== undefined) {
    return (
      <p class="told" role="status">
        <Pill text="asked" tone="warn" /> It waits in <a href={`#/record/${askedIn}`}>entry {askedIn}</a> for another administrator, seven days at most.
      </p>
    );
  }
  if (first === undefined) {
    return (
      <p class="told" role="status">
        <Pill text="gone" tone="good" /> Nothing of it was left.
      </p>
    );
  }
  return (
    <p class="told" role="status">
      {state?.done_in ? (
        <>
          <Pill text="gone" tone="good" /> It is off the disk: <a href={`#/record/${state.done_in}`}>entry {state.done_in}</a> says so.
        </>
      ) : (
        <>
          <span class="pulse" /> Nobody reads it any more (<a href={`#/record/${first}`}>entry {first}</a>). Its bytes are going off the disk…
        </>
      )}
    </p>
  );
}

function Before({ told: found, again }: { told: Told[]; again: () => void }) {
  const [open, set] = useState<number>();
  return (
    <Table columns={["When (UTC)", "State", "Ground", "Asked by", ""]}>
      {found.map((each) => {
        const lapsed = each.waits && since(each.at) > LAPSES_S;
        return (
          <Fragment key={each.seq}>
            <tr>
              <td class="time">
                <a href={`#/record/${each.seq}`}>
                  <Time at={each.at} />
                </a>
              </td>
              <td data-label="State">
                <Stage of={each} lapsed={lapsed} />
              </td>
              <td data-label="Ground" class="saying">
                <Shown text={each.ground} />
              </td>
              <td data-label="Asked by">
                <Name text={each.by} />
                {each.confirmedBy && (
                  <small>
                    {" "}
                    and <Shown text={each.confirmedBy} />
                  </small>
                )}
              </td>
              <td class="act">
                {each.waits && !lapsed && (
                  <button type="button" aria-expanded={open === each.seq} onClick={() => set(open === each.seq ? undefined : each.seq)}>
                    Look and confirm…
                  </button>
                )}
              </td>
            </tr>
            {open === each.seq && (
              <tr class="inner">
                <td colSpan={5}>
                  <Second seq={each.seq} again={again} />
                </td>
              </tr>
            )}
          </Fragment>
        );
      })}
    </Table>
  );
}

function Stage({ of: { asked, waits, doneIn }, lapsed }: { of: Told; lapsed: boolean }) {
  if (waits) return <Pill text={lapsed ? "lapsed" : "waits"} tone={lapsed ? "" : "warn"} />;
  if (asked) return <Pill text="was confirmed" />;
  if (doneIn === null) return <Pill text="going off the disk" tone="warn" />;
  return (
    <a href={`#/record/${doneIn}`} title="The entry that says that it is off the disk">
      <Pill text="off the disk" tone="good" />
    </a>
  );
}

/** The second pair of eyes: shown the same, then asked. */
function Second({ seq, again }: { seq: number; again: () => void }) {
  const { value, problem } = useLoaded(`confirm ${seq}`, (signal) => json<Dry>(`/v1/erasure/${seq}/confirm`, { method: "POST", body: { dry_run: true }, signal }));
  if (problem) return <ProblemBox problem={problem} />;
  if (!value) return <p class="dim">Looking…</p>;
  return (
    <>
      <Preview dry={value} by={value.chosen_by ?? {}} />
      <Confirm path={`/v1/erasure/${seq}/confirm`} body={{}} dry={value} again={again} ground={value.ground ?? "as asked"} />
    </>
  );
}

function seqsOf(text: string): number[] {
  const seqs: number[] = [];
  for (const part of text.split(/[\s,]+/).filter(Boolean)) {
    const [, first, last = first] = /^(\d{1,15})(?:[-–](\d{1,15}))?$/.exec(part) ?? [];
    if (first === undefined || Number(last) < Number(first)) throw new Error(`${part} is neither an entry's number nor two of them, like 40-44`);
    if (Number(last) - Number(first) >= 100_000) throw new Error(`${count(100_000)} entries at most: say it by SQL`);
    for (let seq = Number(first); seq <= Number(last); seq += 1) seqs.push(seq);
  }
  return seqs;
}
