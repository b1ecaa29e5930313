import { useState } from "preact/hooks";
import type { Problem, Question } from "../api";
import { told, useLeaving, useLoaded } from "../hooks";
import type { PageProps } from "../pages";
import { ProblemBox } from "../parts/problem";
import { Seek } from "../parts/seek";
import { number, ONLY, type Row, rowsOf, sessions, type SessionsView, type Told, text, texts } from "../story/ask";
import { long } from "../story/lanes";
import { many, some } from "../story/step";
import { count, plain, pretty, Shown, short, Time } from "../text";
import { formatRange, parseRange, sessionAt } from "../view";

function viewOf(query: URLSearchParams): SessionsView {
  return { text: query.get("q") ?? "", range: parseRange(query), only: Object.keys(ONLY).filter((name) => query.getAll("only").includes(name)) };
}

function addressOf({ text: sought, range, only }: SessionsView): string {
  const said = new URLSearchParams();
  if (sought) said.set("q", sought);
  formatRange(range, said);
  for (const name of only) said.append("only", name);
  const query = said.toString();
  return `#/sessions${query && `?${query}`}`;
}

const go = (view: SessionsView): void => {
  location.hash = addressOf(view);
};

/** What was done together: conversations and traces, the latest first. */
export function Sessions({ query, who }: PageProps) {
  const view = viewOf(query);
  const contents = who.permits.includes("contents");
  const address = addressOf(view);
  const listed = useLoaded(address, async (signal) => {
    const question = sessions(view, contents);
    return { key: `${address} ${performance.now()}`, question, told: await rowsOf(question, signal) };
  });
  const total = listed.value ? Number(listed.value.told.rows[0]?.total ?? 0) : undefined;
  return (
    <main class="page story sessions">
      <Seek
        text={view.text}
        range={view.range}
        label="Search sessions"
        placeholder={contents ? "Search ids, agents, tools, users, requests" : "Search ids, agents, tools; contents are not for your role"}
        sought={(sought) => {
          const asked = { ...view, text: sought };
          if (addressOf(asked) === address) listed.again();
          else go(asked);
        }}
        chosen={(range) => go({ ...view, range })}
      />
      <div class="only" role="group" aria-label="Only sessions">
        {Object.entries(ONLY).map(([name, { label }]) => {
          const on = view.only.includes(name);
          return (
            <button key={name} type="button" aria-pressed={on} onClick={() => go({ ...view, only: on ? view.only.filter((each) => each !== name) : [...view.only, name] })}>
              {label}
            </button>
          );
        })}
      </div>
      <section class={`found ${listed.busy ? "busy" : ""}`} aria-label="Sessions" aria-busy={listed.busy}>
        <div class="summary">
          <span role="status">{total === undefined ? (listed.problem ? "" : "Counting…") : many(total, "session")}</span>
        </div>
        {listed.problem && <ProblemBox problem={listed.problem} again={listed.again} />}
        {listed.value && total! > 0 && <Table key={listed.value.key} first={listed.value.told} question={listed.value.question} />}
        {listed.value && total === 0 && (
          <div class="nothing">
            <h2>No session fits</h2>
            <p>{address !== "#/sessions" && <a href="#/sessions">Look at all sessions</a>}</p>
            <p class="dim small">A session is what shares a conversation's id, or a trace's where nothing names a conversation.</p>
          </div>
        )}
      </section>
    </main>
  );
}

function Table({ first, question }: { first: Told; question: Question }) {
  const [{ rows, next }, set] = useState(first);
  const [problem, refuse] = useState<Problem>();
  const [busy, work] = useState(false);
  const leaving = useLeaving();
  const more = (): void => {
    if (!next || busy) return;
    work(true);
    rowsOf({ ...question, cursor: next }, leaving)
      .then(
        (told) => {
          set({ rows: [...rows, ...told.rows], next: told.next });
          refuse(undefined);
        },
        (error) => refuse(told(error)),
      )
      .finally(() => work(false));
  };
  return (
    <>
      <div class="table">
        <table>
          <thead>
            <tr>
              <th scope="col">Began (UTC)</th>
              <th scope="col" class="number">Lasted</th>
              <th scope="col">Asked</th>
              <th scope="col">Agents</th>
              <th scope="col" class="number">Actions</th>
              <th scope="col" class="number">Denied</th>
              <th scope="col" class="number">Failed</th>
              <th scope="col" class="number" title="Results of external trust that came into the agent's context">Untrusted</th>
              <th scope="col" class="number" title="Actions that pay, send, delete or delegate; in brackets those after untrusted content">Consequences</th>
            </tr>
          </thead>
          <tbody>
            {rows.map((row) => (
              <Session key={`${row.submitter} ${row.session_id}`} row={row} />
            ))}
          </tbody>
        </table>
      </div>
      {problem && <ProblemBox problem={problem} again={more} />}
      {next && (
        <button type="button" class="next" onClick={more} disabled={busy}>
          {busy ? "Reading…" : `More sessions (${count(rows.length)} shown)`}
        </button>
      )}
    </>
  );
}

function Session({ row }: { row: Row }) {
  const id = String(row.session_id);
  const request = text(row, "request_text");
  const after = number(row, "consequences_after_untrusted") ?? 0;
  return (
    <tr class={Number(row.denied) > 0 ? "trouble" : ""}>
      <td class="time">
        <a class="open" href={sessionAt(id, String(row.submitter))}>
          <Time at={String(row.first_time)} />
        </a>
      </td>
      <td class="number dim" data-label="Lasted">
        {Number(row.us) > 0 ? long(Number(row.us)) : <span class="none">–</span>}
      </td>
      <td class="asked" data-label="Asked">
        <span class="request">{request !== null ? <Shown text={pretty(request).slice(0, 400)} /> : <i class="dim">{row.request_text_commitment ? "words not shown" : "no words told"}</i>}</span>
        <small>
          <Shown text={id} />
          {texts(row, "users").slice(0, 2).map((user) => [" · ", <Shown key={user} text={/^[0-9a-f]{64}$/.test(user) ? short(user) : user} />])}
          {texts(row, "users").length > 2 && ` and ${count(texts(row, "users").length - 2)} more`}
        </small>
      </td>
      <td data-label="Agents" class="name agents">
        {texts(row, "agents").length ? <Shown text={some(texts(row, "agents"), 3)} /> : <span class="none">–</span>}
        <small title={plain(texts(row, "tools").join(", "))}>{many(texts(row, "tools").length, "tool")}</small>
      </td>
      <Count n={number(row, "actions")} label="Actions" />
      <Count n={number(row, "denied")} label="Denied" tone="bad" />
      <Count n={number(row, "failed")} label="Failed" tone="bad" />
      <Count n={number(row, "untrusted_reads")} label="Untrusted" tone="warn" />
      <td class="number" data-label="Consequences">
        {Number(row.consequences) > 0 ? count(Number(row.consequences)) : <span class="none">0</span>}
        {after > 0 && (
          <b class="tag bad" title="after untrusted content was read">
            {count(after)} after
          </b>
        )}
      </td>
    </tr>
  );
}

function Count({ n, label, tone = "" }: { n: number | null; label: string; tone?: string }) {
  return (
    <td class="number" data-label={label}>
      {n ? <span class={tone}>{count(n)}</span> : <span class="none">0</span>}
    </td>
  );
}
