import { useEffect, useState } from "preact/hooks";
import { Problem, query as asking, type Who } from "../api";
import { FORMS, saveAnswer } from "../asking";
import { placeOf } from "../askplace";
import { told, useLeaving, useLoaded } from "../hooks";
import type { PageProps } from "../pages";
import { AskNav } from "../parts/asknav";
import { Evidence, MOST } from "../parts/evidence";
import { Histogram } from "../parts/histogram";
import { named, ValueText } from "../parts/pivot";
import { ProblemBox } from "../parts/problem";
import { RangeChoice } from "../parts/range";
import { type Blast as Asked, EACH, everyAction, fixed, inSearch, placeOfBlast, type Reach, reaching, reachOf, readBlast, type Side, SIDES, valuesOf, WHATS } from "../reach";
import { count, plain, Shown, Time } from "../text";
import { formatView } from "../view";

const FEW = 12;

const go = (blast: Asked): void => {
  location.hash = placeOfBlast(blast);
};

/** How far something that was stolen or turned reached: choose what, choose which, see everything that it touched. */
export function Blast({ query, who }: PageProps) {
  const blast = readBlast(query);
  return (
    <main class="page asks">
      <AskNav here="#/blast" />
      <h1>What could it reach, and what did it?</h1>
      <ol class="steps">
        <li>
          <h2>What was stolen, or turned</h2>
          <div class="whats" role="group" aria-label="What">
            {WHATS.map((what) => (
              <a key={what.name} href={placeOfBlast({ ...blast, what, value: "" })} aria-current={what === blast.what ? "true" : undefined} title={what.about}>
                {what.label}
              </a>
            ))}
          </div>
          <p class="dim small">{blast.what.about}.</p>
        </li>
        <li>
          <h2>Which, and since when</h2>
          <Which key={`${blast.what.name} ${blast.value}`} blast={blast} />
        </li>
      </ol>
      {blast.value && <Found key={`${blast.what.name} ${blast.value}`} asked={blast} who={who} />}
    </main>
  );
}

function Which({ blast }: { blast: Asked }) {
  const [typed, type] = useState(blast.value);
  const [open, look] = useState(blast.value === "");
  return (
    <>
      <form
        class="which"
        onSubmit={(event) => {
          event.preventDefault();
          if (typed.trim()) go({ ...blast, value: typed.trim() });
        }}
      >
        <input type="search" aria-label={blast.what.label} placeholder={`${blast.what.label}: type it, or choose below`} value={typed} spellcheck={false} autocomplete="off" onInput={(event) => type(event.currentTarget.value)} />
        <button type="submit" class="main" disabled={!typed.trim()}>
          Look
        </button>
        {!open && (
          <button type="button" onClick={() => look(true)}>
            Choose another
          </button>
        )}
      </form>
      <RangeChoice range={blast.range} chosen={(range) => go({ ...blast, range })} />
      {open && <Values blast={blast} sought={typed} />}
    </>
  );
}

function Values({ blast, sought }: { blast: Asked; sought: string }) {
  const found = useLoaded(blast.what.name, (signal) => asking(valuesOf(blast.what), signal));
  if (found.problem) return <ProblemBox problem={found.problem} again={found.again} />;
  if (!found.value) return <div class="waiting" />;
  const fits = found.value.rows.filter(([value]) => String(value).toLowerCase().includes(sought.trim().toLowerCase()));
  if (found.value.rows.length === 0) return <p class="dim">No action names {blast.what.name === "agent" ? "an agent" : `a ${blast.what.label.toLowerCase()}`}.</p>;
  return (
    <ul class="values" aria-label={`${blast.what.label}: those seen most`}>
      {fits.slice(0, EACH).map(([value, n]) => (
        <li key={String(value)}>
          <a href={placeOfBlast({ ...blast, value: String(value) })}>
            <span class="name">
              <Shown text={named(blast.what.column, String(value))} />
            </span>
            <span class="n">{count(Number(n))}</span>
          </a>
        </li>
      ))}
      {fits.length === 0 && <li class="dim">None of those seen most: what was typed is looked for all the same.</li>}
    </ul>
  );
}

function Found({ asked, who }: { asked: Asked; who: Who }) {
  const found = useLoaded(placeOfBlast(asked), async (signal) => {
    const blast = fixed(asked);
    return { blast, reach: reachOf(await asking(reaching(blast), signal)) };
  });
  if (found.problem) return <ProblemBox problem={found.problem} again={found.again} />;
  if (!found.value) return <p class="dim" role="status">Looking…</p>;
  const { blast, reach } = found.value;
  if (reach.all.n === 0) return <Nobody blast={blast} />;
  return (
    <section class={`reach ${found.busy ? "busy" : ""}`} aria-label="What it reached" aria-busy={found.busy}>
      <Totals blast={blast} reach={reach} />
      <Histogram counts={reach.counts} brushed={(from, to) => go({ ...blast, range: { from, to } })} />
      <Ways blast={blast} reach={reach} who={who} />
      <div class="reached">
        {SIDES.filter(({ name }) => (reach.sides.get(name)?.of ?? 0) > (name === blast.what.name ? 1 : 0)).map((side) => (
          <Reached key={side.name} side={side} blast={blast} reach={reach} />
        ))}
      </div>
      {!who.permits.includes("contents") && <p class="dim small">Persons are not for your role: they stand here as commitments, the same person always as the same.</p>}
    </section>
  );
}

function Nobody({ blast }: { blast: Asked }) {
  return (
    <div class="nothing">
      <h2>No action of it is recorded</h2>
      <p>
        {("last" in blast.range || blast.range.from || blast.range.to) && <a href={placeOfBlast({ ...blast, range: { from: null, to: null } })}>Look at all time</a>}
      </p>
      <p class="dim small">It is compared word for word. What was done and never recorded is not here.</p>
    </div>
  );
}

function Totals({ blast, reach: { all, sides } }: { blast: Asked; reach: Reach }) {
  return (
    <dl class="totals" aria-label={`${blast.what.label} ${plain(blast.value)}`}>
      <div>
        <dt>Actions</dt>
        <dd>{count(all.n)}</dd>
      </div>
      <div>
        <dt>Done</dt>
        <dd>{count(all.done)}</dd>
      </div>
      <div class={all.denied ? "bad" : ""}>
        <dt>Denied</dt>
        <dd>{count(all.denied)}</dd>
      </div>
      {all.tried > 0 && (
        <div title="No outcome was seen, and nothing that denied it">
          <dt>Tried, end unknown</dt>
          <dd>{count(all.tried)}</dd>
        </div>
      )}
      {["session", "resource", "user", "destination"].map((name) => {
        const side = sides.get(name);
        return (
          side &&
          name !== blast.what.name && (
            <div key={name}>
              <dt>{SIDES.find((each) => each.name === name)!.label}</dt>
              <dd>{count(side.of)}</dd>
            </div>
          )
        );
      })}
      <div class="when">
        <dt>From, to</dt>
        <dd>
          <Time at={all.first} />
          <br />
          <Time at={all.last} />
        </dd>
      </div>
    </dl>
  );
}

/** On with it: the actions in the search, as a statement, as a file. */
function Ways({ blast, reach, who }: { blast: Asked; reach: Reach; who: Who }) {
  const [said, tell] = useState("");
  const [problem, refuse] = useState<Problem>();
  const listed = everyAction(blast);
  const leaving = useLeaving();
  useEffect(() => tell(""), [blast.value]);
  const given = Object.fromEntries(
    Object.entries(listed.parameters).map(([name, value]) => [
      name,
      value !== null && typeof value === "object" ? { kind: "timestamp" as const, text: String(value.value) } : { kind: "text" as const, text: String(value) },
    ]),
  );
  return (
    <div class="on">
      <a href={formatView(inSearch(blast))}>In the search</a>
      <a href={placeOf({ sql: listed.sql, given, asOf: "" })}>As SQL</a>
      {FORMS.slice(0, 1).map((form) => (
        <button
          key={form.label}
          type="button"
          onClick={() => {
            refuse(undefined);
            saveAnswer(listed, reach.answer.size, form, leaving).then(({ rows, cut }) => tell(`${count(rows)} actions saved${cut ? "; there are more: choose a shorter window" : ""}`), (error) => refuse(told(error)));
          }}
        >
          Save all actions as {form.label}
        </button>
      ))}
      {who.permits.includes("read") && (
        <Evidence
          selection={{ sql: listed.sql, parameters: listed.parameters }}
          what={reach.all.n > MOST ? `the first ${count(MOST)} of its ${count(reach.all.n)} actions` : `its ${count(reach.all.n)} actions`}
          who={who}
        />
      )}
      <span class="dim small" role="status">
        {said}
      </span>
      {problem && <ProblemBox problem={problem} />}
    </div>
  );
}

function Reached({ side, blast, reach }: { side: Side; blast: Asked; reach: Reach }) {
  const { values, of } = reach.sides.get(side.name)!;
  const [shown, show] = useState(FEW);
  const most = Math.max(1, ...values.map(({ n }) => n));
  return (
    <section class={`card side ${side.name}`} aria-label={side.label}>
      <h2>
        {side.label} <small>{count(of)}</small>
      </h2>
      <table>
        <thead>
          <tr>
            <th scope="col">{side.label.replace(/s$/, "")}</th>
            <th scope="col" class="number">
              Actions
            </th>
            <th scope="col" class="number">
              Done
            </th>
            <th scope="col" class="number">
              Denied
            </th>
            <th scope="col">First</th>
          </tr>
        </thead>
        <tbody>
          {values.slice(0, shown).map(({ value, n, done, denied, first, seq }) => (
            <tr key={value}>
              <td data-label={side.label.replace(/s$/, "")}>
                <a class="what" href={formatView(inSearch(blast, { column: side.column, value, not: false }))} title={plain(value)}>
                  <span class="bar" style={{ width: `${(n / most) * 100}%` }} />
                  <ValueText column={side.column} value={named(side.column, value)} />
                </a>
              </td>
              <td class="number" data-label="Actions">
                {count(n)}
              </td>
              <td class="number" data-label="Done">
                {count(done)}
              </td>
              <td class={`number ${denied ? "bad" : ""}`} data-label="Denied">
                {count(denied)}
              </td>
              <td class="time" data-label="First">
                <a href={`#/record/${seq}`}>
                  <Time at={first} />
                </a>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
      {values.length > shown && (
        <button type="button" class="quiet" onClick={() => show(EACH)}>
          {count(values.length - shown)} more
        </button>
      )}
      {of > values.length && shown === EACH && <p class="dim small">and {count(of - values.length)} more: the file has them all</p>}
    </section>
  );
}
