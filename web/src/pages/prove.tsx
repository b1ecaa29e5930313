// The whole log, checked in this browser. One record's proof is its own page.

import { useState } from "preact/hooks";
import type { Who } from "../api";
import type { PageProps } from "../pages";
import { ALARMS, Forget, useMemory } from "../parts/alarm";
import { ProblemBox } from "../parts/problem";
import { type Finding, type Kind, LATE_MIN, type Progress, type Told } from "../proof/check";
import { type Checked, confirmKey, type Memory, others } from "../proof/memory";
import { fingerprint } from "../proof/note";
import { findingOf, isRunning, type Run, start, stop, useRun } from "../proof/run";
import { count, plain, Shown, Time } from "../text";
import { Proved } from "./proved";

const MEANINGS: [string, string][] = [
  ["altered", "what is shown is not what was recorded: bytes, hash, place, chain, signature or root contradict each other"],
  ["missing", "an entry is gone, and no entry of the log says that it was retired"],
  ["rolled back", "the log is shorter than this browser saw it: its end was cut off, or an older copy put in place"],
  ["forked", "the log signed two histories; both signed checkpoints prove it to anybody"],
  ["late", `recorded more than ${LATE_MIN} minutes after its own time: a spool that was away, or a story told afterwards. No finding`],
  ["erased, retired", "gone by policy, as entries of the log say; every hash stays. No finding"],
  ["unverifiable", "it could not be read or checked: that says nothing of whether it is right"],
];

export function Prove({ at: [seq], who }: PageProps) {
  return seq ? <Proved seq={Number(seq)} who={who} /> : <Whole who={who} />;
}

function Whole({ who }: { who: Who }) {
  const memory = useMemory(who.origin);
  const run = useRun();
  const busy = isRunning(run);
  const begun = memory?.state;
  return (
    <main class="page prove" data-run={run?.id ?? 0}>
      <h1>Prove</h1>
      <p class="dim lead">
        This browser reads every entry and every hash of the log and computes its chain, its tree and its signature itself, by code that shares nothing with the server, and holds them against what it saw before. Contents are checked
        record by record.
      </p>
      <div class="ways-out">
        {busy ? (
          <button type="button" onClick={stop}>
            Stop
          </button>
        ) : (
          <>
            <button type="button" class="main" onClick={() => start(who.origin, false)}>
              Verify the whole log
            </button>
            {begun && (
              <button type="button" onClick={() => start(who.origin, true)}>
                Only what came after entry {count(begun.size - 1)}
              </button>
            )}
          </>
        )}
        <One />
      </div>
      {busy && <Bar progress={run?.progress} />}
      {run?.problem && <ProblemBox problem={run.problem} again={() => start(who.origin, run.since)} />}
      {run?.stopped && <p class="dim">Stopped after {count(run.progress?.done ?? 0)} entries: nothing is said of the others.</p>}
      {!busy && <Result run={run} memory={memory} />}
      {memory && <Known memory={memory} who={who} />}
      <details class="words">
        <summary>What the words mean</summary>
        <dl>
          {MEANINGS.map(([word, means]) => (
            <div class="row" key={word}>
              <dt>{word}</dt>
              <dd>{means}</dd>
            </div>
          ))}
        </dl>
        <p class="dim small">
          What this cannot show: that what was recorded is true, that everything was recorded, or that the server gave this page unaltered. For the last, check with <code>agent-ledger verify</code> of your own.
        </p>
      </details>
    </main>
  );
}

function One() {
  const [seq, set] = useState("");
  return (
    <form
      class="one"
      onSubmit={(event) => {
        event.preventDefault();
        if (/^\d+$/.test(seq)) location.hash = `#/prove/${Number(seq)}`;
      }}
    >
      <label>
        or one record: <input inputMode="numeric" pattern="[0-9]{1,15}" placeholder="its number" value={seq} onInput={(event) => set(event.currentTarget.value)} />
      </label>
      <button type="submit" disabled={!/^\d{1,15}$/.test(seq)}>
        Prove it
      </button>
    </form>
  );
}

function Bar({ progress }: { progress: Progress | undefined }) {
  const { done = 0, total = 0, perS = 0, findings = 0 } = progress ?? {};
  const left = perS > 0 ? Math.ceil((total - done) / perS) : null;
  return (
    <div class="bar" role="status">
      <progress value={done} max={Math.max(total, 1)} aria-label="Entries verified" />
      <p>
        {total ? `${count(done)} of ${count(total)} entries` : "Reading the signed checkpoint and its keys…"}
        {perS > 0 && <span class="dim"> · {count(Math.round(perS))} a second</span>}
        {left !== null && <span class="dim"> · {left} s left</span>}
        {findings > 0 && <b class="bad"> · {count(findings)} found</b>}
      </p>
    </div>
  );
}

function Result({ run, memory }: { run: Run | undefined; memory: Memory | undefined }) {
  const report = run?.report ?? memory?.checked;
  if (!report) return null;
  const at = (report as Partial<Checked>).at ?? memory?.checked?.at;
  const { unlisted, size, from, told, seconds } = report;
  const alarm = memory?.alarm && findingOf(memory.alarm); // one that came after the check: its verdict does not outlive it
  const findings = alarm && !report.findings.some(({ detail }) => detail === alarm.detail) ? [alarm, ...report.findings] : report.findings;
  const wrong = findings.length + unlisted;
  return (
    <section class={`verdict ${wrong ? "wrong" : "sound"}`} aria-label="Verdict">
      <div role="status">
        <h2>{wrong ? `${count(wrong)} ${wrong === 1 ? "finding" : "findings"}` : `Nothing is wrong in ${from ? `entries ${count(from)} to ${count(size - 1)}` : `${count(size)} entries`}`}</h2>
      </div>
      {!wrong && memory && (
        <p>
          {from > 0 && <>Everything before entry {count(from)} rests on the check before. </>}
          Chain and tree give the root that the log signed, under the key{" "}
          {memory.confirmed ? "that you compared" : "that this ledger itself named: compare it below, or this shows no more than that the log agrees with itself"}. What this browser saw of it since <Time at={memory.since} /> is the beginning of what is there now.
        </p>
      )}
      {wrong > 0 && <Findings findings={findings} unlisted={unlisted} />}
      <Facts told={told} />
      <p class="dim small">
        {at && <Time at={at} />} · {count(size - from)} entries in {seconds.toFixed(1)} s{size - from > 0 && seconds > 0.05 && `, ${count(Math.round((size - from) / seconds))} a second`} · root <span class="name">{report.root.slice(0, 16)}…</span>
      </p>
    </section>
  );
}

const TONES: Readonly<Record<Kind, string>> = { altered: "bad", missing: "bad", "rolled-back": "bad", forked: "bad", unverifiable: "warn" };

function Findings({ findings, unlisted }: { findings: Finding[]; unlisted: number }) {
  return (
    <div class="table">
      <table>
        <thead>
          <tr>
            <th scope="col">What</th>
            <th scope="col">Where</th>
            <th scope="col">How it shows</th>
          </tr>
        </thead>
        <tbody>
          {findings.map(({ kind, seq, to, detail }, index) => (
            <tr key={index}>
              <td data-label="What">
                <span class={`pill ${TONES[kind]}`}>{kind.replace("-", " ")}</span>
              </td>
              <td data-label="Where">{seq === null ? "the log" : to !== undefined && to - seq > 1 ? `entries ${count(seq)} to ${count(to - 1)}` : <a href={`#/prove/${seq}`}>entry {count(seq)}</a>}</td>
              <td data-label="How" class="how">
                <Shown text={plain(detail)} />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
      {unlisted > 0 && <p class="dim small">and {count(unlisted)} more</p>}
    </div>
  );
}

function Facts({ told }: { told: Told }) {
  const retired = told.retired.reduce((sum, { from, to }) => sum + to - from, 0);
  const facts = [
    told.erased > 0 && (
      <>
        <b>{count(told.erased)}</b> contents or persons erased, as <Places of={told.erasedBy} /> says
      </>
    ),
    retired > 0 && (
      <>
        <b>{count(retired)}</b> entries retired by {[...new Set(told.retired.map(({ policy }) => plain(policy)))].join(", ")}, as <Places of={told.retired.map(({ by }) => by)} /> says: their hashes were checked, their bytes are gone
      </>
    ),
    told.late > 0 && (
      <>
        <b>{count(told.late)}</b> recorded late, up to {span(told.lateMin)} after their own time: <a href={`#/record/${told.lateAt}`}>entry {count(told.lateAt ?? 0)}</a>
      </>
    ),
    told.signatures > 0 && (
      <>
        <b>{count(told.signatures)}</b> signed by their agents, which holds
      </>
    ),
  ].filter(Boolean);
  return facts.length > 0 ? <ul class="facts">{facts.map((each, index) => <li key={index}>{each}</li>)}</ul> : null;
}

/** Entries that say something, the first few of them. */
function Places({ of }: { of: number[] }) {
  const places = [...new Set(of)].slice(0, 3);
  return (
    <>
      {places.map((seq, index) => (
        <span key={seq}>
          {index > 0 && ", "}
          <a href={`#/record/${seq}`}>entry {count(seq)}</a>
        </span>
      ))}
    </>
  );
}

function Known({ memory, who }: { memory: Memory; who: Who }) {
  const [given, set] = useState("");
  const elsewhere = others(who.origin);
  const known = memory.keys.some(([text]) => text === given.trim());
  return (
    <section class="known" aria-label="What this browser knows">
      <h2>What this browser knows of the log</h2>
      <dl>
        <div class="row">
          <dt>Key</dt>
          <dd>
            <span class="name">{fingerprint(memory.first)}</span>
            <br />
            <span class="dim">
              {memory.confirmed ? "compared by you with one from elsewhere" : "as this ledger named it"}, first seen <Time at={memory.since} />
              {memory.keys.length > 1 && `; rotated ${memory.keys.length - 1} times since, each key handed over by the one before`}
            </span>
          </dd>
        </div>
        {!memory.confirmed && (
          <div class="row">
            <dt>
              <label for="vkey">Compare</label>
            </dt>
            <dd>
              <input id="vkey" class="name" placeholder="name+id+key, from somebody you trust and not from here" value={given} spellcheck={false} autocomplete="off" onInput={(event) => set(event.currentTarget.value)} />
              {given.trim() !== "" && (
                <span role="status" class={known ? "good" : "bad"}>
                  {known ? "It is a key of this log." : "It is none of this log's keys."}
                </span>
              )}
              {known && <Confirm who={who} />}
            </dd>
          </div>
        )}
        <div class="row">
          <dt>Newest seen</dt>
          <dd>
            {count(memory.size)} entries <span class="dim">· <Time at={memory.at} /></span>
            <br />
            <span class="name root">{memory.root}</span>
          </dd>
        </div>
        {elsewhere.length > 0 && (
          <div class="row">
            <dt class="warn">Other logs</dt>
            <dd>
              seen at this address under other names: <Shown text={elsewhere.join(", ")} />
              <br />
              <span class="dim">If this is to be the log that you knew, ask why it has another name: of another log nothing was remembered, and nothing is compared.</span>
            </dd>
          </div>
        )}
        {memory.alarm && (
          <div class="row">
            <dt class="bad">{ALARMS[memory.alarm.kind]}</dt>
            <dd>
              <pre>{plain(memory.alarm.older).replaceAll("⟨\\n⟩", "\n")}</pre>
              <pre>{plain(memory.alarm.newer).replaceAll("⟨\\n⟩", "\n")}</pre>
            </dd>
          </div>
        )}
      </dl>
      <Forget origin={who.origin} />
    </section>
  );
}

function Confirm({ who }: { who: Who }) {
  return (
    <button type="button" onClick={() => confirmKey(who.origin)}>
      I have it from elsewhere
    </button>
  );
}

const span = (minutes: number): string => (minutes < 120 ? `${Math.round(minutes)} minutes` : minutes < 48 * 60 ? `${Math.round(minutes / 60)} hours` : `${count(Math.round(minutes / 1440))} days`);
