// One record's proof as a picture: from its bytes up to the root, and from there to who vouches for that.

import { useEffect } from "preact/hooks";
import type { Who } from "../api";
import { useLoaded } from "../hooks";
import { download } from "../parts/download";
import { Evidence } from "../parts/evidence";
import { ProblemBox } from "../parts/problem";
import { hex } from "../proof/bytes";
import { type Checked, type Proof, prove } from "../proof/record";
import { count, plain, Shown } from "../text";

export function Proved({ seq, who }: { seq: number; who: Who }) {
  const { value: proof, problem, busy, again } = useLoaded(`proof ${seq}`, (signal) => prove(who, seq, signal));
  useEffect(() => {
    document.title = `Proof of record ${seq} · Agent Ledger`;
  }, [seq]);
  const wrong = proof ? [...proof.checks, ...proof.contents].filter(({ good }) => good === false).length : 0;
  const gone = proof ? proof.contents.filter((each) => each.gone).length : 0;
  const unshown = proof ? proof.contents.filter(({ good }) => good === null).length : 0;
  return (
    <main class="page prove proved" aria-busy={busy}>
      <a class="back" href={`#/record/${seq}`}>
        ← Record {count(seq)}
      </a>
      <h1>Proof of record {count(seq)}</h1>
      {problem && <ProblemBox problem={problem} again={again} />}
      {busy && !proof && <p class="dim">Reading the receipt, and computing…</p>}
      {proof && (
        <>
          <section class={`verdict ${wrong ? "wrong" : unshown || !proof.entry ? "partly" : "sound"}`} aria-label="Verdict">
            <div role="status">
              <h2>{wrong ? `${wrong} of it ${wrong === 1 ? "does" : "do"} not hold` : standing(proof, unshown, gone)}</h2>
            </div>
            <p>
              {wrong
                ? "What is red below was computed in this browser, and contradicts what the log signed or what this browser saw of it."
                : `Computed in this browser: entry ${count(seq)} is one of the ${count(proof.size)} that the log signed for. That what it tells is true, nobody can compute.`}
            </p>
            <p class="ways-out">
              <button type="button" onClick={() => download(`entry-${seq}.receipt`, new Blob([proof.receipt]))}>
                Save the receipt
              </button>
              <Evidence selection={{ seqs: [seq] }} what={`entry ${seq}`} who={who} />
              <span class="dim small">
                then offline: <code>agent-ledger receipt check entry-{seq}.receipt</code>
              </span>
            </p>
          </section>
          <div class="proof">
            {proof.steps.length > 0 || proof.size === 1 ? <Picture proof={proof} /> : null}
            <div class="lists">
              <List title="What was checked" checks={proof.checks} />
              {proof.contents.length > 0 && <List title="Contents and persons, against their commitments" checks={proof.contents} />}
              <Hashes proof={proof} />
            </div>
          </div>
        </>
      )}
    </main>
  );
}

/** What was proved, and no more: of what is not shown there is the server's word alone. */
function standing({ entry }: Proof, unshown: number, gone: number): string {
  if (!entry) return "Its hash stands in the log; what was recorded is gone by policy";
  const left = gone ? `; ${gone === 1 ? "1 content is" : `${gone} contents are`} not in it, as the log itself says` : "";
  const said = `It stands in the log, and is what was recorded${left}`;
  return unshown ? `${said}; ${unshown === 1 ? "1 content is" : `${unshown} contents are`} not shown, which nobody checked` : said;
}

function List({ title, checks }: { title: string; checks: Checked[] }) {
  return (
    <section>
      <h2>{title}</h2>
      <ul class="checks">
        {checks.map(({ what, good, detail, value }, index) => (
          <li key={index} class={good === null ? "" : good ? "good" : "bad"}>
            <span class="tick" role="img" aria-label={good === null ? "nothing to check" : good ? "holds" : "does not hold"}>
              {good === null ? "–" : good ? "✓" : "✗"}
            </span>
            <b>{plain(what)}</b>
            <span>
              <Shown text={plain(detail)} />
              {value !== undefined && (
                <details>
                  <summary>As it was checked</summary>
                  <pre>
                    <Shown text={plain(value)} />
                  </pre>
                </details>
              )}
            </span>
          </li>
        ))}
      </ul>
    </section>
  );
}

const ROW = 46;
const WIDE = 440;
const BOX = 118;
const TALL = 24;
const MIDDLE = WIDE / 2;

/** The tree from the root down to the leaf, as much of it as the proof needs. */
function Picture({ proof }: { proof: Proof }) {
  const { steps, leaf, seq, size } = proof;
  const witnesses = proof.checks.filter(({ what, good }) => good && what.startsWith("Witness "));
  const high = witnesses.length > 0 ? ROW : 0;
  const top = 54 + high;
  const bottom = top + steps.length * ROW;
  const at = (level: number): number => bottom - level * ROW; // 0: the leaf
  return (
    <figure>
      <svg viewBox={`0 0 ${WIDE} ${bottom + 74}`} role="img" aria-label={`From the leaf of entry ${seq} over ${steps.length} hashes to the root of ${size} entries; the table beside it has all of them`}>
        {steps.map(({ left }, index) => {
          const x = MIDDLE + (left ? -1 : 1) * (BOX + 26);
          const from = at(index) - TALL / 2;
          const to = at(index + 1) + TALL / 2;
          return (
            <g key={index} class="lines">
              <path d={`M${MIDDLE} ${from}V${to}`} class="way" />
              <path d={`M${x} ${from}V${(from + to) / 2}H${MIDDLE}`} />
            </g>
          );
        })}
        {high > 0 && (
          <>
            <path class="way lines" d={`M${MIDDLE} ${high}V${TALL}`} />
            <Box x={MIDDLE} y={TALL / 2} wide={BOX * 1.7} text={witnesses.length === 1 ? `cosigned by ${plain(witnesses[0]!.what.slice(8)).slice(0, 20)}` : `cosigned by ${witnesses.length} witnesses`} tone="seal" />
          </>
        )}
        <path class="way lines" d={`M${MIDDLE} ${top - TALL / 2}V${high + TALL}`} />
        <path class="way lines" d={`M${MIDDLE} ${bottom + TALL / 2}v${ROW - TALL}`} />
        <Box x={MIDDLE} y={high + TALL / 2} wide={BOX * 1.7} text={`signed for ${count(size)} entries`} tone="seal" />
        {steps.map(({ beside, left, gives }, index) => (
          <g key={index}>
            <Box x={MIDDLE + (left ? -1 : 1) * (BOX + 26)} y={at(index)} text={hex(beside)} tone="beside" />
            <Box x={MIDDLE} y={at(index + 1)} text={hex(gives)} tone={index === steps.length - 1 ? "root" : "node"} />
          </g>
        ))}
        <Box x={MIDDLE} y={bottom} text={hex(leaf)} tone="leaf" />
        <Box x={MIDDLE} y={bottom + ROW} wide={BOX * 1.7} text={`entry ${count(seq)}, ${proof.entry ? `${count(proof.bytes)} bytes` : "retired"}`} tone="entry" />
      </svg>
      <figcaption class="dim small">
        Each box in the middle is the SHA-256 of the two below it. The grey ones come from the ledger; everything else was computed here.{high > 0 && " Which keys are the witnesses' this ledger named itself."}
      </figcaption>
    </figure>
  );
}

function Box({ x, y, text, tone, wide = BOX }: { x: number; y: number; text: string; tone: string; wide?: number }) {
  return (
    <g class={`box ${tone}`}>
      <title>{text}</title>
      <rect x={x - wide / 2} y={y - TALL / 2} width={wide} height={TALL} rx="5" />
      <text x={x} y={y + 4} text-anchor="middle">
        {/^[0-9a-f]{64}$/.test(text) ? `${text.slice(0, 12)}…` : text}
      </text>
    </g>
  );
}

function Hashes({ proof }: { proof: Proof }) {
  return (
    <details>
      <summary>All hashes</summary>
      <div class="table">
        <table>
          <thead>
            <tr>
              <th scope="col">Step</th>
              <th scope="col">Hash</th>
              <th scope="col">Beside it</th>
            </tr>
          </thead>
          <tbody>
            <tr>
              <td data-label="Step">leaf</td>
              <td data-label="Hash" class="name">{hex(proof.leaf)}</td>
              <td data-label="Beside" />
            </tr>
            {proof.steps.map(({ beside, left, gives }, index) => (
              <tr key={index}>
                <td data-label="Step">{index === proof.steps.length - 1 ? "root" : index + 1}</td>
                <td data-label="Hash" class="name">{hex(gives)}</td>
                <td data-label="Beside" class="name">
                  {left ? "left" : "right"} {hex(beside)}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </details>
  );
}
