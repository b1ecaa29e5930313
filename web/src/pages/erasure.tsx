import { Fragment } from "preact";
import { useEffect, useState } from "preact/hooks";
import { ask, json, type Problem, query, type Question } from "../api";
import { since } from "../age";
import { told, useLoaded } from "../hooks";
import type { PageProps } from "../pages";
import { type Dry, Preview } from "../parts/preview";
import { ProblemBox } from "../parts/problem";
import { Head, Name, Pill } from "../parts/ways";
import { count, Shown, Time } from "../text";

const LAPSES_S = 7 * 86_400; // as an erasure that waits for its second
const LOOK_MS = 3_000;
const KINDS = {
  subject: { label: "A person", hint: "their identifier, exactly as it was recorded", asks: (text: string) => ({ subject: text }) },
  entries: { label: "Entries", hint: "their numbers: 17, 18, 40-44", asks: (text: string) => ({ seqs: seqsOf(text) }) },
  sql: { label: "What a SELECT gives", hint: "SELECT seq FROM records WHERE …", asks: (text: string) => ({ sql: text }) },
} as const;
type Kind = keyof typeof KINDS;

const TOLD: Question = {
  sql: `SELECT seq, recorded_at, "type", ext->>'log.requested_by' AS by, ext->>'log.ground' AS ground, ext->>'log.asked_in' AS asked_in, ext->>'log.confirmed_by' AS confirmed_by
FROM records WHERE submitter = 'log' AND "type" IN ('log.erasure_asked', 'log.content_erased') ORDER BY seq DESC LIMIT 100`,
  parameters: {},
};

interface Told {
  seq: number;
  at: string;
  asked: boolean;
  by: string;
  ground: string;
  askedIn: string | null;
  confirmedBy: string | null;
}

/** An erasure: shown first, then what was shown goes. */
export function Erasure({ who }: PageProps) {
  const before = useLoaded("erasures", async (signal) =>
    (await query(TOLD, signal)).rows.map(
      ([seq, at, type, by, ground, askedIn, confirmedBy]): Told => ({
        seq: Number(seq),
        at: String(at),
        asked: type === "log.erasure_asked",
        by: String(by ?? ""),
        ground: String(ground ?? ""),
        askedIn: askedIn === null ? null : String(askedIn),
        confirmedBy: confirmedBy === null ? null : String(confirmedBy),
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
  const [shown, show] = useState<{ body: object; dry: Dry }>();
  const [problem, refuse] = useState<Problem>();
  const [busy, work] = useState(false);
  const submitted = (event: SubmitEvent): void => {
    event.preventDefault();
    const given = new FormData(event.currentTarget as HTMLFormElement);
    const take = ["contents", "persons"].filter((each) => given.has(each));
    work(true);
    show(undefined);
    refuse(undefined);
    Promise.resolve()
      .then(async () => {
        if (take.length === 0) throw new Error("say whether contents are to go, persons, or both");
        const body = { ...KINDS[kind].asks(String(given.get("what")).trim()), take };
        show({ body, dry: await json<Dry>("/v1/erasure", { method: "POST", body: { ...body, dry_run: true } }) });
      })
      .catch((error: unknown) => refuse(told(error)))
      .finally(() => work(false));
  };
  return (
    <>
      <form class="erase card" onSubmit={submitted} onInput={() => show(undefined)}>
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
          <textarea name="what" rows={kind === "sql" ? 3 : 1} required spellcheck={false} key={kind} />
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
      {shown && <Preview dry={shown.dry} />}
      {shown && shown.dry.places > 0 && <Confirm key={shown.dry.selection} path="/v1/erasure" body={{ ...shown.body, as_of: shown.dry.as_of, selection: shown.dry.selection }} dry={shown.dry} again={again} />}
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
  const ready = ground.trim() !== "" && typed.replaceAll(",", "").trim() === String(dry.places) && dry.holds.length === 0 && !busy;
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
          Type <b>{dry.places}</b>, how many places go
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
  return (
    <p class="told" role="status">
      {state?.done_in ? (
        <>
          <Pill text="gone" tone="good" /> It is off the disk: <a href={`#/record/${state.done_in}`}>entry {state.done_in}</a> says so.
        </>
      ) : (
        <>
          <span class="pulse" /> Nobody reads it any more{first !== undefined && <> (<a href={`#/record/${first}`}>entry {first}</a>)</>}. Its bytes are going off the disk…
        </>
      )}
    </p>
  );
}

function Before({ told: found, again }: { told: Told[]; again: () => void }) {
  const confirmed = new Set(found.map((each) => each.askedIn));
  const [open, set] = useState<number>();
  return (
    <div class="table">
      <table>
        <thead>
          <tr>
            {["When (UTC)", "State", "Ground", "Asked by", ""].map((label) => (
              <th key={label} scope="col">
                {label}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {found.map((each) => {
            const waits = each.asked && !confirmed.has(String(each.seq));
            const lapsed = waits && since(each.at) > LAPSES_S;
            return (
              <Fragment key={each.seq}>
                <tr>
                  <td class="time">
                    <a href={`#/record/${each.seq}`}>
                      <Time at={each.at} />
                    </a>
                  </td>
                  <td data-label="State">
                    {waits ? <Pill text={lapsed ? "lapsed" : "waits"} tone={lapsed ? "" : "warn"} /> : <Pill text={each.asked ? "was confirmed" : "erased"} tone={each.asked ? "" : "good"} />}
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
                    {waits && !lapsed && (
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
        </tbody>
      </table>
    </div>
  );
}

/** The second pair of eyes: shown the same, then asked. */
function Second({ seq, again }: { seq: number; again: () => void }) {
  const { value, problem } = useLoaded(`confirm ${seq}`, (signal) => json<Dry>(`/v1/erasure/${seq}/confirm`, { method: "POST", body: { dry_run: true }, signal }));
  if (problem) return <ProblemBox problem={problem} />;
  if (!value) return <p class="dim">Looking…</p>;
  return (
    <>
      <Preview dry={value} />
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
