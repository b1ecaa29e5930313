// The bar on every page when the log contradicts what this browser saw of it, and the watch that finds it.

import { useEffect, useState } from "preact/hooks";
import type { Log } from "../api";
import { type Alarm, forget, hear, type Memory, recall } from "../proof/memory";
import { plain, Shown, Time } from "../text";
import { download } from "./download";

const GROWN_EVERY_MS = 60_000;
let lookedAt = Number.NEGATIVE_INFINITY;
let looking = false;

export function useMemory(origin: string): Memory | undefined {
  const [memory, set] = useState(() => recall(origin));
  useEffect(() => hear(() => set(recall(origin))), [origin]);
  return memory;
}

/** Hold what the log says of itself against what was seen: at once where it is less or another, and now and then where it has grown. */
export async function watched(origin: string, log: Log, before: Memory | undefined): Promise<void> {
  const same = before?.size === log.size && before.root === log.root;
  const due = !before || log.size <= before.size || performance.now() - lookedAt > GROWN_EVERY_MS;
  if (before?.alarm || same || !due || looking) return;
  looking = true;
  try {
    const { look } = await import("../proof/watch");
    await look(origin, log.checkpoint, before);
    lookedAt = performance.now();
  } catch {
    // no answer, or a browser that cannot: the page on which it is proved says so
  } finally {
    looking = false;
  }
}

export const ALARMS: Readonly<Record<Alarm["kind"], string>> = {
  "rolled-back": "Rolled back",
  forked: "Forked",
  key: "Another key",
  unsigned: "Not signed by the log",
};

export function AlarmBar({ origin }: { origin: string }) {
  const alarm = useMemory(origin)?.alarm;
  if (!alarm) return null;
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
