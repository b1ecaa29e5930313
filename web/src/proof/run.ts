// The check that runs, whichever page is looked at meanwhile.

import { useEffect, useState } from "preact/hooks";
import type { Problem } from "../api";
import { told } from "../hooks";
import { Refused } from "./bytes";
import { check, type Finding, type Progress, type Report } from "./check";
import { openCheckpoint, type Term } from "./keys";
import { type Alarm, recall, remember } from "./memory";
import { checkpoint } from "./source";
import { agrees } from "./sha256";
import { keys, look } from "./watch";

export interface Run {
  id: number; // the first one since the page was opened is 1
  calling: AbortController;
  since: boolean;
  progress?: Progress;
  report?: Report;
  problem?: Problem;
  stopped?: boolean;
}

let current: Run | undefined;
const heard = new Set<() => void>();

function tell(more: Partial<Run>): void {
  if (current) current = { ...current, ...more };
  for (const each of heard) each();
}

export function useRun(): Run | undefined {
  const [run, set] = useState(current);
  useEffect(() => {
    const changed = (): void => set(current);
    heard.add(changed);
    changed();
    return () => void heard.delete(changed);
  }, []);
  return run;
}

export const isRunning = (run: Run | undefined): boolean => !!run && !run.report && !run.problem && !run.stopped;

export function stop(): void {
  current?.calling.abort();
  tell({ stopped: true });
}

/** Begin; from where the last one of this browser ended, where `since`. */
export function start(origin: string, since: boolean): void {
  if (isRunning(current)) return;
  const calling = new AbortController();
  current = { id: (current?.id ?? 0) + 1, calling, since };
  tell({});
  verify(origin, since, calling.signal).then(
    (report) => calling.signal.aborted || tell({ report }),
    (error: unknown) => calling.signal.aborted || tell({ problem: told(error) }),
  );
}

async function verify(origin: string, since: boolean, signal: AbortSignal): Promise<Report> {
  if (!(await agrees())) throw new Error("this browser's SHA-256 and this page's do not agree: nothing was checked");
  const before = recall(origin);
  const note = await checkpoint(signal);
  const proved = keys();
  let shown: Awaited<ReturnType<typeof openCheckpoint>>;
  let terms: Term[];
  const found = (): Finding[] => {
    const alarm = recall(origin)?.alarm;
    return alarm ? [findingOf(alarm)] : [];
  };
  try {
    await look(origin, note, before, proved); // what contradicts what was seen is an alarm, and the first finding; what is shown is checked all the same
    ({ terms } = await proved);
    shown = await openCheckpoint(note, terms);
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    const first = found();
    return broken(first.length ? first : [{ kind: "altered", seq: null, detail: `the checkpoint that is shown is not proved to be the log's: ${error.message}` }]);
  }
  const first = found();
  const alarm = first.length > 0;
  const state = since && !alarm ? (before?.state ?? null) : null;
  const seen = before && before.size <= shown.size && !alarm ? { size: before.size, root: before.root } : null;
  const report = await check({ terms, checkpoint: shown, seen, since: state, signal, progress: (progress) => tell({ progress }) });
  report.findings.unshift(...first);
  const memory = recall(origin);
  if (memory && !signal.aborted) {
    const { from, size, root, seconds, findings, unlisted, told: said } = report;
    remember(origin, { ...memory, checked: { at: new Date().toISOString(), from, size, root, seconds, findings, unlisted, told: said }, ...(report.state && !first.length && { state: report.state }) });
  }
  return report;
}

/** What an alarm is in a verdict. */
export const findingOf = ({ kind, detail }: Alarm): Finding => ({ kind: kind === "rolled-back" || kind === "forked" ? kind : "altered", seq: null, detail });

const broken = (findings: Finding[]): Report => ({
  from: 0,
  size: 0,
  root: "",
  findings,
  unlisted: 0,
  told: { entries: 0, retired: [], erased: 0, erasedBy: [], late: 0, lateAt: null, lateMin: 0, signatures: 0 },
  state: null,
  seconds: 0,
});
