// What the pages of sessions, flows and delegation ask. Each is one statement; values go as parameters, never as text.

import { type Answer, type Cell, type Question, query, type Value } from "../api";
import { instants, type Range } from "../view";

export const SESSIONS_AT_ONCE = 100;
export const STEPS_AT_ONCE = 2_000;
export const FLOWS_AT_ONCE = 1_000;
export const GAPS = 50;
export const REACH = 6; // steps from a record, each way

export type Row = Record<string, Cell>;
export interface Told {
  rows: Row[];
  next: string | undefined;
}

/** Rows by their columns' names. */
export async function rowsOf(question: Question, signal?: AbortSignal): Promise<Told> {
  const answer: Answer = await query(question, signal);
  const names = answer.columns.map(({ name }) => name);
  return { rows: answer.rows.map((row) => Object.fromEntries(names.map((name, at) => [name, row[at] ?? null]))), next: answer.next };
}

export const text = (row: Row, name: string): string | null => (row[name] === null || row[name] === undefined ? null : String(row[name]));
export const number = (row: Row, name: string): number | null => (row[name] === null || row[name] === undefined ? null : Number(row[name]));
export const texts = (row: Row, name: string): string[] => (Array.isArray(row[name]) ? row[name].filter((each) => each !== null).map(String) : []);

/** What a list of sessions can be narrowed to. Names from an address are looked up here: none reaches SQL as it came. */
export const ONLY: Readonly<Record<string, { label: string; sql: string }>> = {
  denied: { label: "with denials", sql: "denied > 0" },
  failed: { label: "with failures", sql: "failed > 0" },
  open: { label: "without an outcome", sql: "not_observed > 0" },
  after: { label: "consequence after untrusted content", sql: "consequences_after_untrusted > 0" },
};

export interface SessionsView {
  text: string;
  range: Range;
  only: string[];
}

const persons = (name: string): string => `if(len(${name}) > 0, ${name}, ${name}_commitment)`;

/** Sessions, the latest first; `total` is how many there are in all. */
export function sessions(view: SessionsView, contents: boolean): Question {
  const parts = view.only.map((name) => ONLY[name]!.sql);
  const parameters: Record<string, Value> = {};
  const { from, to } = instants(view.range);
  if (from !== null) {
    parts.push("last_time >= $from");
    parameters.from = { type: "timestamp", value: from };
  }
  if (to !== null) {
    parts.push("first_time < $to");
    parameters.to = { type: "timestamp", value: to };
  }
  const sought = view.text.trim();
  if (sought) {
    const within = ["session_id", "array_to_string(agents, ' ')", "array_to_string(tools, ' ')", "array_to_string(models, ' ')", "submitter"];
    if (contents) within.push("array_to_string(users, ' ')", "request_text");
    parts.push(`(${within.map((sql) => `contains(lower(${sql}), lower($text))`).join(" OR ")})`);
    parameters.text = sought;
  }
  return {
    sql: `SELECT submitter, session_id, kind, first_time, last_time, epoch_us(last_time) - epoch_us(first_time) AS us, ${persons("users")} AS users, request_text,
request_text_commitment, records, actions, agents, tools, denied, failed, not_observed, untrusted_reads, consequences, consequences_after_untrusted, count(*) OVER () AS total
FROM sessions WHERE ${parts.join(" AND ") || "true"} ORDER BY last_time DESC, session_id, submitter`,
    parameters,
    limit: SESSIONS_AT_ONCE,
  };
}

/** Whose session: an id may be one of several submitters', who know nothing of each other. */
export interface Which {
  id: string;
  by: string | null;
}

const bound = ({ by }: Which, id = "session_id", submitter = "submitter"): string => `${id} = $id${by === null ? "" : ` AND ${submitter} = $by`}`;
const given = ({ id, by }: Which): Record<string, Value> => (by === null ? { id } : { id, by });

/** The session's own rows, one for each submitter; with them what its sources counted meanwhile and never sent. */
export function head(which: Which): Question {
  return {
    sql: `WITH one AS MATERIALIZED (SELECT * FROM sessions WHERE ${bound(which)}),
mine AS MATERIALIZED (SELECT DISTINCT submitter, source_id FROM actions WHERE ${bound(which)} AND source_seq IS NOT NULL),
counted AS (SELECT submitter, source_id, source_seq, "time", lag(source_seq) OVER number AS previous, lag("time") OVER number AS after
FROM records SEMI JOIN mine USING (submitter, source_id) WHERE source_seq IS NOT NULL
WINDOW number AS (PARTITION BY submitter, source_id ORDER BY source_seq)),
gap AS (SELECT submitter, source_id, source_seq - previous - 1 AS missing, epoch_us(after) AS after, epoch_us("time") AS before FROM counted
WHERE source_seq > previous + 1 AND after <= (SELECT max(last_time) FROM one) AND "time" >= (SELECT min(first_time) FROM one) ORDER BY after LIMIT ${GAPS})
SELECT one.* REPLACE (${persons("users")} AS users), epoch_us(first_untrusted_time) AS untrusted_us,
(SELECT list({'source': source_id, 'missing': missing, 'after': after, 'before': before} ORDER BY after) FROM gap WHERE gap.submitter = one.submitter) AS gaps
FROM one ORDER BY actions DESC, submitter`,
    parameters: given(which),
    limit: 20,
  };
}

/** The session's actions in the order of their times, with when each of their stages was. */
export function steps(which: Which): Question {
  return {
    sql: `WITH act AS MATERIALIZED (SELECT seq, first_seq, last_seq, epoch_us("time") AS us, submitter, action_id, coalesce(identity_agent_id, identity_agent_name) AS agent,
tool_name, tool_effect, coalesce(resource_id, resource_name, resource_destination) AS resource,
CASE WHEN resource_id IS NOT NULL THEN 'resource_id' WHEN resource_name IS NOT NULL THEN 'resource_name' ELSE 'resource_destination' END AS resource_column, policy_effect, policy_mode, policy_rule, policy_reason, approval_outcome,
coalesce(approval_approver, approval_approver_commitment) AS approver, outcome_status, outcome_error_type, outcome_duration_ns, execution, resource_trust,
outcome_result_commitment IS NOT NULL AS answered, stages, epoch_us(recorded_at) AS recorded, "time"
FROM actions WHERE ${bound(which)}),
piece AS (SELECT submitter, action_id, min(epoch_us("time")) FILTER (type = 'action.decision') AS decided,
max(epoch_us("time")) FILTER (type = 'action.approval') AS approved, max(epoch_us("time")) FILTER (type = 'action.outcome') AS ended
FROM records SEMI JOIN (SELECT submitter, action_id FROM act WHERE len(stages) > 1) USING (submitter, action_id) GROUP BY ALL)
SELECT act.* EXCLUDE (action_id, "time"), decided, approved, ended, epoch_us("last"."time") AS last_us
FROM act LEFT JOIN piece USING (submitter, action_id) LEFT JOIN records "last" ON "last".seq = act.last_seq
ORDER BY us, act.seq`,
    parameters: given(which),
    limit: STEPS_AT_ONCE,
  };
}

/** Every entry that tells of the session: as evidence. */
export function entriesOf(which: Which): { sql: string; parameters: Record<string, Value> } {
  return {
    sql: `SELECT seq FROM records WHERE ((request_conversation_id = $id OR trace_trace_id = $id)${which.by === null ? "" : " AND submitter = $by"})
OR (submitter, action_id) IN (SELECT (submitter, action_id) FROM actions WHERE ${bound(which)} AND action_id IS NOT NULL)
OR seq IN (SELECT unnest([first_seq, last_seq]) FROM actions WHERE ${bound(which)}) ORDER BY seq`,
    parameters: given(which),
  };
}

const FLOW = `flow.source_seq AS source_seq, flow.sink_seq AS sink_seq, link, carried, paths, named_by_user, epoch_us(source_time) AS source_us, source_tool, source_effect,
source_resource_id, source_trust, epoch_us(sink_time) AS sink_us, sink_tool, sink_effect, coalesce(sink_resource_id, sink_destination) AS sink_resource_id, sink_status`;
const WHO = (end: string): string => `coalesce(${end}.identity_agent_id, ${end}.identity_agent_name) AS ${end}_agent, ${end}.session_id AS ${end}_session`;
const ENDS = "JOIN actions source ON source.seq = flow.source_seq JOIN actions sink ON sink.seq = flow.sink_seq";

/** What went from results into later arguments of the session; declared sources may lie in another one. */
export function sessionFlows(which: Which): Question {
  return {
    sql: `SELECT ${FLOW}, ${WHO("source")}, ${WHO("sink")} FROM flows flow ${ENDS} WHERE ${bound(which, "sink.session_id", "sink.submitter")} ORDER BY sink_time, flow.sink_seq, flow.source_seq`,
    parameters: given(which),
    limit: FLOWS_AT_ONCE,
  };
}

/** What went into an action, and what went into that, and on from it the same way: `step` is below 0 before it and above 0 after it. */
export function reach(seq: number): Question {
  return {
    sql: `WITH RECURSIVE start AS MATERIALIZED (SELECT seq FROM actions WHERE seq = $seq OR first_seq = $seq OR last_seq = $seq ORDER BY seq = $seq DESC LIMIT 1),
edge AS MATERIALIZED (SELECT source_seq, sink_seq FROM flows WHERE NOT named_by_user OR link = 'derived_from'),
onward AS (SELECT seq, 0 AS step FROM start UNION SELECT sink_seq, step + 1 FROM onward JOIN edge ON source_seq = seq WHERE step < ${REACH}),
back AS (SELECT seq, 0 AS step FROM start UNION SELECT source_seq, step - 1 FROM back JOIN edge ON sink_seq = seq WHERE step > -${REACH}),
reached AS (SELECT source_seq, sink_seq, min(step + 1) AS step FROM onward JOIN edge ON source_seq = seq WHERE step < ${REACH} GROUP BY ALL
UNION SELECT source_seq, sink_seq, max(step - 1) FROM back JOIN edge ON sink_seq = seq WHERE step > -${REACH} GROUP BY ALL)
SELECT (SELECT seq FROM start) AS start, step, ${FLOW}, ${WHO("source")}, ${WHO("sink")}
FROM flows flow JOIN (SELECT source_seq, sink_seq, any_value(step) AS step FROM reached GROUP BY ALL) "on" ON "on".source_seq = flow.source_seq AND "on".sink_seq = flow.sink_seq ${ENDS}
ORDER BY sink_time, flow.sink_seq, flow.source_seq`,
    parameters: { seq },
    limit: FLOWS_AT_ONCE,
  };
}

const DELEGATED = `seq, epoch_us("time") AS us, submitter, session_id, action_id, trace_trace_id AS trace, trace_span_id AS span, trace_parent_span_id AS parent_span,
trace_parent_action_id AS parent_action, coalesce(identity_agent_id, identity_agent_name) AS agent, identity_actors AS actors,
coalesce(identity_principal, identity_principal_commitment) AS principal, identity_principal_source AS principal_source, coalesce(request_user, request_user_commitment) AS user,
tool_name, tool_effect, coalesce(resource_id, resource_name, resource_destination) AS resource, policy_effect, outcome_status, approval_outcome`;

/** All actions of the sessions and traces that one belongs to, whoever wrote them. */
export function delegatedFrom(seq: number): Question {
  return {
    sql: `WITH one AS MATERIALIZED (SELECT session_id AS id, trace_trace_id AS of FROM actions WHERE seq = $seq OR first_seq = $seq OR last_seq = $seq ORDER BY seq = $seq DESC LIMIT 1)
SELECT ${DELEGATED} FROM actions WHERE session_id IN (SELECT id FROM one) OR trace_trace_id IN (SELECT of FROM one) OR seq = $seq ORDER BY "time", seq`,
    parameters: { seq },
    limit: STEPS_AT_ONCE,
  };
}

/** The same of a session. */
export function delegatedIn(which: Which): Question {
  return {
    sql: `WITH mine AS MATERIALIZED (SELECT DISTINCT trace_trace_id AS of FROM actions WHERE ${bound(which)} AND trace_trace_id IS NOT NULL)
SELECT ${DELEGATED} FROM actions WHERE (${bound(which)}) OR trace_trace_id IN (SELECT of FROM mine) ORDER BY "time", seq`,
    parameters: given(which),
    limit: STEPS_AT_ONCE,
  };
}
