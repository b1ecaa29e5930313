import { Fragment } from "preact";
import { useState } from "preact/hooks";
import { ask, type Cell, json, type Question, query, ready } from "../api";
import { since, spell } from "../age";
import { useLoaded } from "../hooks";
import type { PageProps } from "../pages";
import { ProblemBox } from "../parts/problem";
import { Table } from "../parts/table";
import { Head, Name, None, Pill } from "../parts/ways";
import { count, Time } from "../text";

const AHEAD_S = 5; // as the question clock-skew tolerates
const LATE_S = 15 * 60; // as late-records
const SILENT_S = 60 * 60; // as silent-sources
const OLD_S = 365 * 86_400;
const SOURCES = 500;
const GAPS = 100;

/** One row per source and submitter, in one pass; what is wrong first. */
const SOURCES_ASKED: Question = {
  sql: `WITH told AS (
  SELECT source_id, submitter, seq, recorded_at, source_seq, epoch(recorded_at) - epoch("time") AS late,
    epoch(recorded_at) - epoch(lag(recorded_at) OVER (PARTITION BY submitter, source_id ORDER BY seq)) AS pause
  FROM records WHERE submitter <> 'log'
)
SELECT source_id, submitter, count(*) AS records, max(recorded_at) AS last_at, max(seq) AS last_seq, max(source_seq) AS last_number,
  coalesce(max(source_seq) - min(source_seq) + 1 - count(DISTINCT source_seq), 0) AS missing,
  count(source_seq) - count(DISTINCT source_seq) AS repeated, median(late) AS late_median, max(late) AS late_most, -min(late) AS ahead, max(pause) AS pause
FROM told GROUP BY source_id, submitter ORDER BY missing DESC, repeated DESC, ahead DESC, last_at`,
  parameters: {},
  limit: SOURCES,
};

/** Every credential and every agent's key that was ever granted: since when it holds, and whether it was revoked. */
const GRANTS_ASKED: Question = {
  sql: `SELECT ext->>'log.name' AS name, ext->>'log.key_id' AS key_id, max(ext->>'log.subject') AS subject,
  max(recorded_at) FILTER ("type" = 'log.access_granted') AS granted_at, max(recorded_at) FILTER ("type" = 'log.access_revoked') AS revoked_at,
  max(seq) FILTER ("type" = 'log.access_granted') AS seq, arg_max(coalesce(ext->>'log.expires_at', ''), seq) FILTER ("type" = 'log.access_granted') AS ends_at,
  arg_max(ext->>'log.roles', seq) FILTER ("type" = 'log.access_granted') AS roles
FROM records WHERE submitter = 'log' AND "type" IN ('log.access_granted', 'log.access_revoked') GROUP BY ALL ORDER BY granted_at`,
  parameters: {},
};

interface Source {
  id: string | null;
  submitter: string;
  records: number;
  lastAt: string;
  lastSeq: number;
  lastNumber: number | null;
  missing: number;
  repeated: number;
  late: number;
  most: number;
  ahead: number;
  silent: boolean;
  granted: Grant | undefined;
  bad: number; // how much is wrong: gaps first
}

interface Grant {
  name: string | null;
  key: string | null;
  subject: string | null;
  at: string;
  ended: "revoked" | "expired" | undefined;
  writes: boolean;
  seq: number;
}

interface Keys {
  state: string;
  all: number;
  at: string | null;
}

export function Health({ who }: PageProps) {
  const found = useLoaded("health", async (signal) => {
    const [sources, grants] = await Promise.all([query(SOURCES_ASKED, signal), query(GRANTS_ASKED, signal)]);
    const granted = grants.rows.map(grantOf);
    return { sources: sources.rows.map((row) => sourceOf(row, granted)).sort((a, b) => b.bad - a.bad), granted, more: sources.truncated };
  });
  const keys = useLoaded("keys", keysOf);
  const wrong = found.value?.sources.filter((each) => each.bad > 0).length ?? 0;
  return (
    <main class="page work health" aria-busy={found.busy}>
      <Head here="#/health" title="Health of sources" who={who}>
        Who records, up to which number of their own, what never arrived, how late, by which clock, under how old a credential. Two questions of the log, once.
      </Head>
      {keys.value && (
        <ul class="facts">
          <li>
            <small>This ledger</small>
            <Pill text={keys.value.state} tone={keys.value.state === "ready" ? "good" : "bad"} />
          </li>
          <li>
            <small>Its key signs since</small>
            {keys.value.at ? <Aged at={keys.value.at} /> : <None />}
          </li>
          <li>
            <small>Keys so far</small>
            {count(keys.value.all)}
          </li>
        </ul>
      )}
      {found.problem && <ProblemBox problem={found.problem} again={found.again} />}
      {!found.value && !found.problem && <p class="dim">Counting…</p>}
      {found.value && (
        <>
          <div class="bar">
            <h2>Sources</h2>
            <span role="status" class={wrong ? "bad" : "dim"}>
              {wrong ? `${count(wrong)} of ${count(found.value.sources.length)} need a look` : found.value.sources.length ? "nothing stands out" : ""}
            </span>
            <button type="button" onClick={found.again} disabled={found.busy}>
              Ask again
            </button>
          </div>
          {found.value.sources.length === 0 ? (
            <div class="nothing">
              <h2>Nobody has recorded yet</h2>
              <p>
                <a href="#/first">How to record</a>
              </p>
            </div>
          ) : (
            <Sources sources={found.value.sources} />
          )}
          {found.value.more && <p class="dim small">The first {count(SOURCES)}, worst first; ask the others by SQL.</p>}
          {!found.value.more && <Unheard granted={found.value.granted} sources={found.value.sources} />}
          <AgentKeys granted={found.value.granted.filter((each) => each.key !== null)} />
        </>
      )}
    </main>
  );
}

const COLUMNS = [
  "Source",
  "Submitter",
  "Last heard (UTC)",
  { label: "Last number", n: true },
  "Gaps",
  { label: "Lag", n: true, title: "Between the source's own time and when the ledger took it: the median, and the most" },
  { label: "Clock ahead", n: true, title: "How far ahead of the ledger's clock the source's was at most" },
  { label: "Key age", n: true, title: "Since its credential was granted or rotated" },
  { label: "Records", n: true },
] as const;

function Sources({ sources }: { sources: Source[] }) {
  const [open, set] = useState<string>();
  return (
    <Table columns={COLUMNS}>
      {sources.map((each) => {
        const key = JSON.stringify([each.submitter, each.id]);
        return (
          <Fragment key={key}>
            <tr class={each.missing > 0 ? "trouble" : ""}>
              <td data-label="Source">
                <Name text={each.id} />
              </td>
              <td data-label="Submitter">
                <Name text={each.submitter} />
              </td>
              <td data-label="Last heard" class="time">
                <a href={`#/record/${each.lastSeq}`}>
                  <Time at={each.lastAt} />
                </a>{" "}
                {each.silent && <Pill text={`silent ${spell(since(each.lastAt))}`} tone="warn" />}
              </td>
              <td data-label="Last number" class="n">
                {each.lastNumber === null ? <span class="dim">counts none</span> : count(each.lastNumber)}
              </td>
              <td data-label="Gaps">
                {each.missing + each.repeated > 0 ? (
                  <button type="button" class="value" aria-expanded={open === key} onClick={() => set(open === key ? undefined : key)}>
                    {each.missing > 0 && <Pill text={`${count(each.missing)} missing`} tone="bad" />} {each.repeated > 0 && <Pill text={`${count(each.repeated)} repeated`} tone="warn" />}
                  </button>
                ) : each.lastNumber === null ? (
                  <None />
                ) : (
                  <Pill text="none" tone="good" />
                )}
              </td>
              <td data-label="Lag" class="n" title={`median ${spell(each.late)}, at most ${spell(each.most)}`}>
                <Measure text={spell(Math.max(0, each.late))} warn={each.late > LATE_S} />
              </td>
              <td data-label="Clock ahead" class="n">
                <Measure text={each.ahead > 0 ? spell(each.ahead) : "no"} warn={each.ahead > AHEAD_S} />
              </td>
              <td data-label="Key age" class="n">
                {each.granted ? <Grantage grant={each.granted} /> : <None />}
              </td>
              <td data-label="Records" class="n">
                {count(each.records)}
              </td>
            </tr>
            {open === key && (
              <tr class="inner">
                <td colSpan={9}>
                  <Gaps source={each} />
                </td>
              </tr>
            )}
          </Fragment>
        );
      })}
    </Table>
  );
}

/** The gaps of one source, asked for when somebody wants them. */
function Gaps({ source }: { source: Source }) {
  const { value, problem } = useLoaded(`gaps ${source.submitter} ${source.id}`, async (signal) => {
    const answer = await ask("/v1/queries/gaps-in-a-source", { method: "POST", body: { parameters: { source_id: source.id } }, signal });
    const { columns, rows, truncated } = (await answer.json()) as { columns: { name: string }[]; rows: Cell[][]; truncated: boolean };
    const all = rows.map((row) => Object.fromEntries(columns.map(({ name }, index) => [name, row[index] ?? null])));
    const own = all.filter((each) => each.submitter === source.submitter && each.kind !== "late");
    return { shown: own.slice(0, GAPS), more: truncated || own.length > GAPS };
  });
  if (problem) return <ProblemBox problem={problem} />;
  if (!value) return <p class="dim">Looking…</p>;
  return (
    <ul class="gaps">
      {value.shown.map((each) => (
        <li key={`${each.kind}${each.first_number}`}>
          <Pill text={String(each.kind)} tone={each.kind === "missing" ? "bad" : "warn"} />{" "}
          <b>
            {count(Number(each.first_number))}
            {each.first_number !== each.last_number && ` – ${count(Number(each.last_number))}`}
          </b>{" "}
          between <Time at={String(each.after)} /> and <Time at={String(each.before)} /> · <a href={`#/record/${each.seq}`}>entry {String(each.seq)}</a>
        </li>
      ))}
      {value.more && (
        <li>
          Not all of them: <a href={`#/question/gaps-in-a-source?${new URLSearchParams({ "p.source_id": source.id ?? "" })}`}>ask for the others</a>
        </li>
      )}
    </ul>
  );
}

const Measure = ({ text, warn }: { text: string; warn: boolean }) => (warn ? <Pill text={text} tone="warn" /> : <span>{text}</span>);

function Aged({ at }: { at: string }) {
  const age = since(at);
  return (
    <span title={`since ${at}`}>
      <Measure text={spell(age)} warn={age > OLD_S} />
    </span>
  );
}

const Grantage = ({ grant }: { grant: Grant }) => (grant.ended ? <Pill text={grant.ended} /> : <Aged at={grant.at} />);

/** Who may write and never did: a source that never sent anything is in no other table. */
function Unheard({ granted, sources }: { granted: Grant[]; sources: Source[] }) {
  const heard = new Set(sources.map((each) => each.granted?.name));
  const silent = granted.filter((each) => each.key === null && each.writes && !each.ended && !heard.has(each.name));
  if (silent.length === 0) return null;
  return (
    <>
      <h2>Granted, and never heard</h2>
      <Table columns={["Credential", "Granted (UTC)", { label: "Age", n: true }]}>
        {silent.map((each) => (
          <tr key={each.name}>
            <td data-label="Credential">
              <Name text={each.name} />
            </td>
            <GrantCells grant={each} />
          </tr>
        ))}
      </Table>
    </>
  );
}

function GrantCells({ grant }: { grant: Grant }) {
  return (
    <>
      <td data-label="Granted" class="time">
        <a href={`#/record/${grant.seq}`}>
          <Time at={grant.at} />
        </a>
      </td>
      <td data-label="Age" class="n">
        <Grantage grant={grant} />
      </td>
    </>
  );
}

function AgentKeys({ granted }: { granted: Grant[] }) {
  if (granted.length === 0) return null;
  return (
    <>
      <h2>Agents' keys</h2>
      <Table columns={["Key", "Whose", "Granted (UTC)", { label: "Age", n: true }]}>
        {granted.map((each) => (
          <tr key={each.key}>
            <td data-label="Key">
              <Name text={each.key} />
            </td>
            <td data-label="Whose">
              <Name text={each.subject} />
            </td>
            <GrantCells grant={each} />
          </tr>
        ))}
      </Table>
    </>
  );
}

const textOf = (cell: Cell | undefined): string | null => (cell === null || cell === undefined ? null : String(cell));

function grantOf([name, key, subject, at, revokedAt, seq, endsAt, roles]: Cell[]): Grant {
  const granted = String(at);
  const revoked = revokedAt !== null && String(revokedAt) > granted;
  const expired = endsAt ? since(String(endsAt)) > 0 : false;
  const writes = roles ? String(roles).includes('"writer"') : false;
  return { name: textOf(name), key: textOf(key), subject: textOf(subject), at: granted, ended: revoked ? "revoked" : expired ? "expired" : undefined, writes, seq: Number(seq) };
}

function sourceOf(row: Cell[], granted: Grant[]): Source {
  const [id, submitter, records, lastAt, lastSeq, lastNumber, missing, repeated, late, most, ahead, pause] = row;
  const silence = since(String(lastAt));
  const name = String(submitter).slice(String(submitter).indexOf(":") + 1);
  const grant = granted.find((each) => each.name === name);
  const source = {
    id: textOf(id),
    submitter: String(submitter),
    records: Number(records),
    lastAt: String(lastAt),
    lastSeq: Number(lastSeq),
    lastNumber: lastNumber === null ? null : Number(lastNumber),
    missing: Number(missing),
    repeated: Number(repeated),
    late: Number(late),
    most: Number(most),
    ahead: Number(ahead),
    silent: id !== null && !grant?.ended && silence > SILENT_S && silence > Number(pause ?? 0), // whose credential has ended is to be silent
    granted: grant,
  };
  const bad = (source.missing > 0 ? 8 : 0) + (source.repeated > 0 ? 4 : 0) + (source.ahead > AHEAD_S ? 2 : 0) + (source.late > LATE_S ? 1 : 0) + (source.silent ? 1 : 0);
  return { ...source, bad };
}

async function keysOf(signal: AbortSignal): Promise<Keys> {
  const [{ keys }, state] = await Promise.all([
    json<{ keys: { from: number; to: number | null }[] }>("/v1/keys", { signal }),
    ready(signal).catch(() => "no answer"),
  ]);
  const newest = keys.at(-1);
  const at = newest ? await json<{ recorded_at: string }>(`/v1/entries/${newest.from}`, { signal }).then((entry) => entry.recorded_at, () => null) : null;
  return { state, all: keys.length, at };
}
