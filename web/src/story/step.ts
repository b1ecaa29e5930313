// One action as its lane shows it: when its parts were, and what stands out about it.

import { count, duration } from "../text";
import { number, type Row, text, texts } from "./ask";

export const LATE_US = 5 * 60_000_000;

export interface Part {
  kind: "decide" | "wait" | "run";
  from: number;
  to: number;
}

export type Mark = "denied" | "failed" | "open" | "approved" | "late" | "untrusted" | "consequence";
export const MARKS: Readonly<Record<Mark, string>> = {
  denied: "denied or rejected",
  failed: "failed or timed out",
  open: "no outcome seen",
  approved: "approved by a person",
  late: "recorded late",
  untrusted: "read untrusted content",
  consequence: "pays, sends, deletes or delegates",
};
const CONSEQUENCES: ReadonlySet<string> = new Set(["pay", "send", "delete", "delegate"]);
const EXTERNAL: ReadonlySet<string> = new Set(["external", "external_content"]);

export interface Step {
  row: Row;
  seq: number;
  from: number;
  to: number;
  agent: string;
  tool: string;
  parts: Part[];
  marks: Mark[];
}

/** The steps of a session; where `several` tell of it, each under its own name, since nobody knows whether they mean the same. Where most of it came late, as with an import, no single one of them is marked so. */
export function stepsOf(rows: Row[], several = false): { steps: Step[]; late: boolean } {
  const late = rows.filter((row) => lag(row) > LATE_US).length;
  const all = late * 2 > rows.length;
  return { steps: rows.map((row) => stepOf(row, !all, several)), late: all };
}

const lag = (row: Row): number => (number(row, "recorded") ?? 0) - (number(row, "us") ?? 0);

function stepOf(row: Row, tells: boolean, several: boolean): Step {
  const from = number(row, "us")!;
  const took = (number(row, "outcome_duration_ns") ?? 0) / 1000;
  const [decided, approved] = [number(row, "decided"), number(row, "approved")];
  const to = Math.max(from, number(row, "ended") ?? 0, number(row, "last_us") ?? 0, decided ?? 0, approved ?? 0, texts(row, "stages").length > 1 ? 0 : from + took);
  const parts: Part[] = [];
  let at = from;
  for (const [kind, end] of [["decide", decided], ["wait", approved]] as const) {
    if (end === null || end < at) continue;
    parts.push({ kind, from: at, to: end });
    at = end;
  }
  if (to > at || parts.length === 0) parts.push({ kind: "run", from: at, to });
  const agent = text(row, "agent") ?? "";
  return { row, seq: Number(row.seq), from, to, agent: several ? `${text(row, "submitter")} tells of ${agent || "no agent named"}` : agent, tool: text(row, "tool_name") ?? text(row, "tool_effect") ?? "", parts, marks: marksOf(row, tells) };
}

function marksOf(row: Row, tells: boolean): Mark[] {
  const marks: Mark[] = [];
  if (row.denied === true) marks.push("denied");
  if (row.failed === true) marks.push("failed");
  if (row.execution === "not_observed" && row.denied !== true) marks.push("open");
  if (row.approval_outcome === "approved") marks.push("approved");
  if (EXTERNAL.has(String(row.resource_trust)) && row.answered === true) marks.push("untrusted");
  if (CONSEQUENCES.has(String(row.tool_effect)) && row.execution === "observed") marks.push("consequence");
  if (tells && lag(row) > LATE_US) marks.push("late");
  return marks;
}

/** How it went, in a line. */
export function story(step: Step): string {
  const { row, parts, marks } = step;
  const said: string[] = [];
  for (const { kind, from, to } of parts) {
    if (to <= from) continue;
    const long = duration((to - from) * 1000);
    said.push(kind === "decide" ? `decided after ${long}` : kind === "wait" ? `waited ${long} for approval` : `ran ${long}`);
  }
  if (row.policy_effect) said.push(`policy ${row.policy_effect}${row.policy_mode === "monitor" ? " (watching only)" : ""}`);
  if (row.approval_outcome) said.push(`${row.approval_outcome} by ${text(row, "approver") ?? "nobody named"}`);
  said.push(text(row, "outcome_status") ?? (row.execution === "not_observed" ? "no outcome seen" : "no status told"));
  if (row.outcome_error_type) said.push(String(row.outcome_error_type));
  if (marks.includes("untrusted")) said.push("read untrusted content");
  if (marks.includes("late")) said.push(`recorded ${duration(lag(row) * 1000)} after`);
  return said.join(" · ");
}

export interface Lane {
  agent: string;
  tool: string;
  steps: Step[];
}

/** Lanes in the order in which agents, and their tools, first acted. */
export function lanesOf(steps: Step[]): Lane[] {
  const agents = new Map<string, Map<string, Lane>>();
  for (const step of steps) {
    const lanes = agents.get(step.agent) ?? new Map<string, Lane>();
    agents.set(step.agent, lanes);
    const lane = lanes.get(step.tool) ?? { agent: step.agent, tool: step.tool, steps: [] };
    lanes.set(step.tool, lane);
    lane.steps.push(step);
  }
  return [...agents.values()].flatMap((lanes) => [...lanes.values()]);
}

/** The first of some names, and how many more there are. */
export const some = (names: readonly string[], most: number): string => names.slice(0, most).join(", ") + (names.length > most ? ` and ${count(names.length - most)} more` : "");

export const many = (n: number, one: string, more = `${one}s`): string => `${count(n)} ${n === 1 ? one : more}`;
