// What the pages of sessions, flows and delegation ask. Each is one statement; values go as parameters, never as text.

import { type Answer, type Cell, type Question, query, type Value } from "../api";
import { RESOURCE } from "../columns";
import { DENIED, FAILED, TOLD, TOLD_OF } from "../sql";
import { instants, type Range } from "../view";

export const SESSIONS_AT_ONCE = 100;
export const STEPS_AT_ONCE = 2_000;
export const FLOWS_AT_ONCE = 1_000;
const GAPS = 50;
const SUBMITTERS = 20;
export const REACH = 6; // steps from a record, each way
const CAUSED = 6; // so many actions above one another, and below

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
  open: { label: "without an outcome", sql: `(submitter, session_id) IN (SELECT (submitter, session_id) FROM actions WHERE execution = 'not_observed' AND NOT ${DENIED})` },
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
gap AS (SELECT submitter, source_id, source_seq - previous - 1 AS missing, epoch_us(after) AS after, epoch_us("time") AS before,
row_number() OVER (PARTITION BY submitter ORDER BY after, source_id, source_seq) AS place
FROM counted JOIN one USING (submitter) WHERE source_seq > previous + 1 AND after <= last_time AND "time" >= first_time),
lost AS (SELECT submitter, CAST(sum(missing) AS DOUBLE) AS missing, count(*) AS holes,
list({'source': source_id, 'missing': missing, 'after': after, 'before': before} ORDER BY place) FILTER (place <= ${GAPS}) AS gaps FROM gap GROUP BY submitter),
unfinished AS (SELECT submitter, count(*) AS open FROM actions WHERE ${bound(which)} AND execution = 'not_observed' AND NOT ${DENIED} GROUP BY submitter)
SELECT one.* REPLACE (${persons("users")} AS users), epoch_us(first_untrusted_time) AS untrusted_us, gaps, coalesce(missing, 0) AS missing, coalesce(holes, 0) AS holes, coalesce(open, 0) AS open,
if(len(one.users) > 0, greatest(len(users_commitment) - len(one.users), 0), 0) AS gone
FROM one LEFT JOIN lost USING (submitter) LEFT JOIN unfinished USING (submitter) ORDER BY actions DESC, submitter`,
    parameters: given(which),
    limit: SUBMITTERS,
  };
}

/** The session's actions in the order of their times, with when each of their stages was; so many at a time, and from which part on. */
export function steps(which: Which, part: number): Question {
  return {
    sql: `WITH act AS MATERIALIZED (SELECT seq, first_seq, last_seq, epoch_us("time") AS us, submitter, action_id, coalesce(identity_agent_id, identity_agent_name) AS agent,
tool_name, tool_effect, ${RESOURCE} AS resource, ${DENIED} AS denied, ${FAILED} AS failed, policy_effect, policy_mode, policy_rule, policy_reason, approval_outcome,
coalesce(approval_approver, approval_approver_commitment) AS approver, outcome_status, outcome_error_type, outcome_duration_ns, execution, resource_trust,
outcome_result_commitment IS NOT NULL AS answered, stages, epoch_us(recorded_at) AS recorded, "time"
FROM actions WHERE ${bound(which)} ORDER BY actions."time", seq LIMIT ${STEPS_AT_ONCE + 1} OFFSET ${part * STEPS_AT_ONCE}),
piece AS (SELECT act.seq, min(epoch_us(told."time")) FILTER (told.type = 'action.decision') AS decided,
max(epoch_us(told."time")) FILTER (told.type = 'action.approval') AS approved, max(epoch_us(told."time")) FILTER (told.type = 'action.outcome') AS ended
FROM act JOIN records "last" ON "last".seq = act.last_seq JOIN records told ON told.submitter = act.submitter AND told.action_id = act.action_id
WHERE len(act.stages) > 1 AND told."time" BETWEEN act."time" AND "last"."time" GROUP BY act.seq)
SELECT act.* EXCLUDE (action_id, "time"), decided, approved, ended, epoch_us("last"."time") AS last_us
FROM act LEFT JOIN piece USING (seq) LEFT JOIN records "last" ON "last".seq = act.last_seq
ORDER BY us, act.seq`,
    parameters: given(which),
    limit: STEPS_AT_ONCE,
  };
}

/** Every entry that tells of the session, as `sessions` counts them, and of its actions: as evidence. */
export function entriesOf(which: Which): { sql: string; parameters: Record<string, Value> } {
  return {
    sql: `WITH trace AS MATERIALIZED (SELECT submitter, trace_trace_id FROM records
WHERE trace_trace_id IN (SELECT trace_trace_id FROM records WHERE request_conversation_id = $id UNION ALL SELECT $id) GROUP BY ALL
HAVING coalesce(CASE WHEN min(request_conversation_id) = max(request_conversation_id) THEN min(request_conversation_id) END, trace_trace_id) = $id)
SELECT seq FROM records WHERE ((request_conversation_id = $id OR (request_conversation_id IS NULL AND (submitter, trace_trace_id) IN (SELECT (submitter, trace_trace_id) FROM trace)))${which.by === null ? "" : " AND submitter = $by"})
OR (submitter, action_id) IN (SELECT (submitter, action_id) FROM actions WHERE ${bound(which)} AND action_id IS NOT NULL)
OR seq IN (SELECT unnest([first_seq, last_seq]) FROM actions WHERE ${bound(which)}) ORDER BY seq`,
    parameters: given(which),
  };
}

const FLOW = `flow.source_seq AS source_seq, flow.sink_seq AS sink_seq, link, carried, paths, named_by_user, epoch_us(source_time) AS source_us, source_tool, source_effect,
source_resource_id, source_trust, epoch_us(sink_time) AS sink_us, sink_tool, sink_effect, coalesce(sink_resource_id, sink_destination) AS sink_resource_id, sink_status`;
const WHO = (end: string): string => `coalesce(${end}.identity_agent_id, ${end}.identity_agent_name) AS ${end}_agent, ${end}.session_id AS ${end}_session, ${end}.submitter AS ${end}_submitter`;
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
    sql: `WITH RECURSIVE ${TOLD}, start AS MATERIALIZED (SELECT seq ${TOLD_OF}),
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
tool_name, tool_effect, ${RESOURCE} AS resource, ${DENIED} AS denied, ${FAILED} AS failed`;

/** With the actions `near`, what set them off and what they set off, wherever that is: within what one submitter wrote. */
const causes = (more = ""): string => `up AS (SELECT submitter, seq, trace_parent_action_id AS cause, 0 AS step FROM near
UNION SELECT above.submitter, above.seq, above.trace_parent_action_id, step + 1 FROM up JOIN actions above ON above.submitter = up.submitter AND above.action_id = up.cause WHERE step < ${CAUSED}),
down AS (SELECT submitter, seq, action_id AS cause, 0 AS step FROM near
UNION SELECT below.submitter, below.seq, below.action_id, step + 1 FROM down JOIN actions below ON below.submitter = down.submitter AND below.trace_parent_action_id = down.cause WHERE step < ${CAUSED})
SELECT ${more}${DELEGATED} FROM actions WHERE seq IN (SELECT seq FROM up UNION SELECT seq FROM down) ORDER BY "time", seq`;

/** All actions of the session that one belongs to, and of its trace whoever wrote them; `start` is that one. */
export function delegatedFrom(seq: number): Question {
  return {
    sql: `WITH RECURSIVE ${TOLD}, one AS MATERIALIZED (SELECT seq AS start, submitter, session_id, trace_trace_id AS of ${TOLD_OF}),
near AS MATERIALIZED (SELECT actions.seq, actions.submitter, action_id, trace_parent_action_id FROM actions, one
WHERE seq = start OR trace_trace_id = of OR (actions.submitter = one.submitter AND actions.session_id = one.session_id)),
${causes("(SELECT start FROM one) AS start, ")}`,
    parameters: { seq },
    limit: STEPS_AT_ONCE,
  };
}

/** The same of a session. */
export function delegatedIn(which: Which): Question {
  return {
    sql: `WITH RECURSIVE mine AS MATERIALIZED (SELECT DISTINCT trace_trace_id AS of FROM actions WHERE ${bound(which)} AND trace_trace_id IS NOT NULL),
near AS MATERIALIZED (SELECT seq, submitter, action_id, trace_parent_action_id FROM actions WHERE (${bound(which)}) OR trace_trace_id IN (SELECT of FROM mine)),
${causes()}`,
    parameters: given(which),
    limit: STEPS_AT_ONCE,
  };
}
