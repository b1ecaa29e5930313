// How far the log is anchored and verified, by whom: what others say of it, what the server says, and what this browser has checked itself.

import { useEffect, useRef } from "preact/hooks";
import { ask, type Log, Problem, type Who } from "../api";
import { useLoaded } from "../hooks";
import { Refused } from "../proof/bytes";
import type { Memory, Witness } from "../proof/memory";
import { openCheckpoint } from "../proof/keys";
import { fingerprint } from "../proof/note";
import { hold, keys } from "../proof/watch";
import { cosigned, type Cosigned } from "../proof/witness";
import { count, instant, plain, Shown, short, Time } from "../text";
import { ALARMS, useMemory } from "./alarm";
import { ProblemBox } from "./problem";

interface Witnesses {
  quorum: string | null;
  witnessed_size?: number;
  contradiction?: string | null;
  witnesses: { name: string; key: string; size: number; cosigned_at: number; problem: string | null }[];
}

interface Peers {
  peers: { name: string; origin: string }[];
}

interface Scrub {
  at: number;
  first: string;
  size: number;
  findings: number;
  done: number;
  total: number;
  problem: string;
}

interface Lines {
  size: number;
  wrong?: string; // of the checkpoint itself
  of: Map<string, Cosigned | string>; // by witness; a text is what is wrong with his
}

const read = async <T,>(path: string, signal: AbortSignal): Promise<T> => (await ask(path, { signal })).json();

export function Integrity({ log, who, closed }: { log: Log; who: Who; closed: () => void }) {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => dialog.current?.showModal(), []);
  const memory = useMemory(who.origin);
  const others = useLoaded("others", async (signal) => {
    const [witnesses, peers, scrub] = await Promise.all([
      read<Witnesses>("/v1/witnesses", signal),
      read<Peers>("/v1/peers", signal),
      who.permits.includes("verify") ? read<Scrub | null>("/v1/scrub", signal) : undefined,
    ]);
    return { witnesses, peers: peers.peers, scrub, lines: witnesses.witnesses.length ? await linesOf(witnesses, who.origin, signal) : undefined };
  });
  const { head_anchor: anchor, size } = log.anchored_to;
  return (
    <dialog class="integrity" ref={dialog} onClose={closed} aria-labelledby="integrity-title">
      <header>
        <h2 id="integrity-title">Integrity</h2>
        <button type="button" class="quiet" onClick={() => dialog.current?.close()}>
          Close
        </button>
      </header>
      <section class="mine">
        <h3>This browser</h3>
        <Mine memory={memory} log={log} />
        <a class="button main" href="#/prove" onClick={() => dialog.current?.close()}>
          Verify in this browser
        </a>
      </section>
      <section>
        <h3>The log</h3>
        <dl>
          <dt>Size</dt>
          <dd>
            {count(log.size)} entries, the newest of <Time at={log.recorded_at} />
          </dd>
          <dt>Root</dt>
          <dd class="name">{log.root}</dd>
          <dt>Head anchor</dt>
          <dd>
            {anchor === null || size === null ? (
              "none: a file outside the data folder that keeps the newest checkpoint"
            ) : (
              <>
                {size === log.size ? "up to the newest entry" : `up to ${count(size)}`} <span class="dim">by the file <Shown text={anchor} /></span>
              </>
            )}
          </dd>
        </dl>
      </section>
      <section aria-busy={others.busy}>
        <h3>Others</h3>
        {others.problem && <ProblemBox problem={others.problem} again={others.again} />}
        {others.busy && !others.value && <p class="dim">Asking…</p>}
        {others.value && (
          <dl>
            <Witnessed {...others.value} size={log.size} met={memory?.witnesses ?? []} />
            <dt>Peers</dt>
            <dd>
              {others.value.peers.length === 0
                ? "none: no other organisation's log is accepted here"
                : others.value.peers.map(({ name, origin }) => (
                    <span key={name} class="each">
                      <Shown text={name} /> <span class="dim"><Shown text={origin} /></span>
                    </span>
                  ))}
            </dd>
            <dt>The server itself</dt>
            <dd>
              <Scrubbed scrub={others.value.scrub} />
            </dd>
          </dl>
        )}
      </section>
      <p class="dim small">
        A chain of hashes alone shows neither a cut tail nor a rewrite by whoever holds the key: only what is kept elsewhere does. This page comes from the server it looks at; who doubts that too checks with{" "}
        <code>agent-ledger verify</code> of their own.
      </p>
    </dialog>
  );
}

function Mine({ memory, log }: { memory: Memory | undefined; log: Log }) {
  if (!memory) return <p class="dim">It has not seen this log before, or cannot check signatures.</p>;
  const { alarm, checked } = memory;
  return (
    <dl>
      {alarm && (
        <>
          <dt class="bad">{ALARMS[alarm.kind]}</dt>
          <dd class="bad">{plain(alarm.detail)}</dd>
        </>
      )}
      <dt>Whole log</dt>
      <dd>
        {!checked && "not verified in this browser yet"}
        {checked && (
          <>
            <b class={checked.findings.length ? "bad" : "good"}>{checked.findings.length ? `${count(checked.findings.length + checked.unlisted)} findings` : "verified"}</b> up to {count(checked.size)}
            {checked.size < log.size && `, ${count(log.size - checked.size)} have come since`} <span class="dim">· <Time at={checked.at} /></span>
          </>
        )}
      </dd>
      <dt>Newest seen</dt>
      <dd>
        {count(memory.size)}, signed and one log with all that was seen before <span class="dim">· <Time at={memory.at} /></span>
      </dd>
      <dt>Key</dt>
      <dd>
        <span class="name" title={memory.first}>{fingerprint(memory.first).slice(0, 17)}…</span> <span class="dim">{memory.confirmed ? "compared by you" : "as this ledger said"}, known since <Time at={memory.since} /></span>
      </dd>
    </dl>
  );
}

/** When each witness cosigned the newest checkpoint that the quorum has, by his line in it, checked here: of this log and of what this browser saw of it. */
async function linesOf({ witnesses }: Witnesses, origin: string, signal: AbortSignal): Promise<Lines | undefined> {
  let text: string;
  try {
    text = await (await ask("/witnessed/checkpoint", { signal, fresh: true })).text();
  } catch (error) {
    if (error instanceof Problem && error.status === 404) return undefined;
    throw error;
  }
  const of = new Map<string, Cosigned | string>();
  let size = 0;
  try {
    const history = await keys();
    const shown = await openCheckpoint(text, history.terms);
    size = shown.size;
    for (const witness of witnesses) of.set(witness.name, await cosigned(origin, shown.note, witness).catch(why));
    await hold(origin, text, shown, history, signal);
  } catch (error) {
    return { size, of: new Map(), wrong: why(error) };
  }
  return { size, of };
}

function why(error: unknown): string {
  if (error instanceof Refused) return error.message;
  throw error;
}

function Witnessed({ witnesses: all, lines, size, met }: { witnesses: Witnesses; lines: Lines | undefined; size: number; met: Witness[] }) {
  const { witnesses, contradiction } = all;
  const left = met.filter(({ name }) => !witnesses.some((each) => each.name === name));
  return (
    <>
      <dt>Witnesses</dt>
      <dd>
        {witnesses.length === 0 && "none: nobody else keeps a checkpoint of this log"}
        {witnesses.length > 0 && (lines && !lines.wrong ? `their quorum has cosigned ${lines.size === size ? "all of it" : `up to ${count(lines.size)}`}, the server says` : !lines && "their quorum has cosigned nothing yet")}
        {lines?.wrong && <p class="bad">The checkpoint that they are said to have cosigned is not of the log that this browser saw: {plain(lines.wrong)}</p>}
        {contradiction && <p class="bad">{plain(contradiction)}</p>}
        {witnesses.map((each) => {
          const line = lines?.of.get(each.name);
          const wrong = typeof line === "string" ? line : each.problem;
          return (
            <span key={each.name} class="each">
              <Shown text={each.name} />{" "}
              {typeof line === "object" && line.at !== null ? (
                <span class="good">
                  cosigned <Time at={instant(line.at * 1e6)} />{" "}
                  <small>
                    checked here, under the key that this ledger named, first seen <Time at={line.since} />
                  </small>
                </span>
              ) : (
                <span class={wrong ? "bad" : "dim"}>{plain(wrong ?? (each.size ? `up to ${count(each.size)}, the server says` : "nothing yet"))}</span>
              )}
            </span>
          );
        })}
        {left.map(({ name, since }) => (
          <span key={name} class="each">
            <Shown text={name} />{" "}
            <span class="warn">
              is not named by this ledger any more; first seen <Time at={since} />
            </span>
          </span>
        ))}
      </dd>
    </>
  );
}

function Scrubbed({ scrub }: { scrub: Scrub | null | undefined }) {
  if (scrub === undefined) return <span class="dim">what it found of itself is for auditors</span>;
  if (scrub === null) return <>does not scrub what it has sealed</>;
  if (scrub.problem) return <span class="bad">{plain(short(scrub.problem, 200))}</span>;
  if (!scrub.at) return <>is at its first round of what it has sealed{scrub.total > 0 && `: ${count(scrub.done)} of ${count(scrub.total)}`}</>;
  return (
    <>
      read its sealed {count(scrub.size)} entries again: <b class={scrub.findings ? "bad" : "good"}>{scrub.findings ? `${count(scrub.findings)} findings` : "nothing wrong"}</b> {plain(scrub.first)}{" "}
      <span class="dim">
        · <Time at={instant(scrub.at * 1e6)} />
      </span>
    </>
  );
}
