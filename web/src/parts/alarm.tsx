// The bar on every page when the log contradicts what this browser saw of it, and the watch that finds it.

import { useEffect, useState } from "preact/hooks";
import type { Log } from "../api";
import { told } from "../hooks";
import { type Alarm, forget, hear, type Memory, others, recall, remember } from "../proof/memory";
import { plain, Shown, Time } from "../text";
import { download } from "./download";

const GROWN_EVERY_MS = 60_000;
const TOO_LONG_MS = 20_000;
const TOO_OFTEN = 3; // failures in a row: one or two are a server that ends, or a network
let lookedAt = Number.NEGATIVE_INFINITY;
let looking = false;

/** Checks that failed one after the other while the ledger answered everything else: whoever has something to hide would let them fail. */
interface Failing {
  since: string;
  times: number;
  why: string;
}

let failing: Failing | undefined;
const heard = new Set<() => void>();

function failed(error?: unknown): void {
  failing = error === undefined ? undefined : { since: failing?.since ?? new Date().toISOString(), times: (failing?.times ?? 0) + 1, why: told(error).message };
  for (const each of heard) each();
}

/** Since when nothing could be checked, and why. */
export function useUnchecked(): Failing | undefined {
  const [now, set] = useState(failing);
  useEffect(() => {
    const changed = (): void => set(failing);
    heard.add(changed);
    changed();
    return () => void heard.delete(changed);
  }, []);
  return now && now.times >= TOO_OFTEN ? now : undefined;
}

export function useMemory(origin: string): Memory | undefined {
  const [memory, set] = useState(() => recall(origin));
  useEffect(() => hear(() => set(recall(origin))), [origin]);
  return memory;
}

/** Hold what the log says of itself against what was seen: at once where it is less or another, and now and then where it has grown. */
export async function watched(origin: string, log: Log, before: Memory | undefined): Promise<void> {
  const same = before?.size === log.size && before.root === log.root;
  const due = !before || log.size <= before.size || performance.now() - lookedAt > GROWN_EVERY_MS;
  if (before?.alarm || !due || looking) return;
  if (same) return failing && failed();
  looking = true;
  try {
    const { look, Unsupported } = await import("../proof/watch");
    const cannot = (error: unknown): void => {
      if (!(error instanceof Unsupported)) throw error; // a browser that cannot: the page on which it is proved says so
    };
    await Promise.race([look(origin, log.checkpoint, before).catch(cannot), late()]);
    lookedAt = performance.now();
    failed();
  } catch (error) {
    failed(error);
  } finally {
    looking = false;
  }
}

const late = (): Promise<never> => new Promise((_, fail) => setTimeout(() => fail(new Error(`no answer in ${TOO_LONG_MS / 1000} seconds`)), TOO_LONG_MS));

export const ALARMS: Readonly<Record<Alarm["kind"], string>> = {
  "rolled-back": "Rolled back",
  forked: "Forked",
  key: "Another key",
  unsigned: "Not signed by the log",
};

export function AlarmBar({ origin }: { origin: string }) {
  const memory = useMemory(origin);
  const alarm = memory?.alarm;
  if (!alarm) {
    return (
      <>
        {memory && <Another origin={origin} memory={memory} />}
        <Unchecked />
      </>
    );
  }
  const save = (): void => {
    if (alarm.proof) download("fork.proof", new Blob([alarm.proof]));
    else {
      download("checkpoint-seen.txt", new Blob([alarm.older]));
      download("checkpoint-shown.txt", new Blob([alarm.newer]));
    }
  };
  return (
    <section class="alarm" role="alert">
      <p>
        <b>{ALARMS[alarm.kind]}.</b> <Shown text={plain(alarm.detail)} />. <small>Found <Time at={alarm.at} />. Do not rely on what this ledger shows.</small>
      </p>
      <p class="ways-out">
        <button type="button" onClick={save}>
          {alarm.proof ? "Save the proof" : "Save both checkpoints"}
        </button>
        <a href="#/prove">What was seen</a>
      </p>
    </section>
  );
}

/** A log under a new name contradicts nothing: nothing was remembered of it. So it is told, until somebody says that these are two. */
function Another({ origin, memory }: { origin: string; memory: Memory }) {
  const met = others(origin).filter((each) => !memory.apart?.includes(each));
  if (met.length === 0) return null;
  const apart = (): void => {
    const now = recall(origin);
    if (now) remember(origin, { ...now, apart: [...(now.apart ?? []), ...met] });
  };
  return (
    <section class="unchecked" role="status">
      <b>Another log.</b> At this address this browser has seen <Shown text={met.join(", ")} />; of <Shown text={origin} /> it knows nothing from before <Time at={memory.since} />. If that is to be the log that you knew, ask why it has a new name.{" "}
      <button type="button" onClick={apart}>
        They are two logs
      </button>
    </section>
  );
}

function Unchecked() {
  const unchecked = useUnchecked();
  if (!unchecked) return null;
  return (
    <section class="unchecked" role="status">
      <b>Could not be checked</b> since <Time at={unchecked.since} />. What this ledger shows is not held against what this browser saw of it: <Shown text={plain(unchecked.why)} />
    </section>
  );
}

/** Begin anew: for a ledger that was set up anew, or once somebody has looked into it. */
export function Forget({ origin }: { origin: string }) {
  const [sure, ask] = useState(false);
  if (!sure) {
    return (
      <button type="button" onClick={() => ask(true)}>
        Forget what this browser saw…
      </button>
    );
  }
  return (
    <span class="ways-out">
      Whatever answers next is believed to be the log.
      <button type="button" onClick={() => forget(origin)}>
        Forget it
      </button>
      <button type="button" onClick={() => ask(false)}>
        Keep it
      </button>
    </span>
  );
}
