import { useMemo, useState } from "preact/hooks";
import type { Who } from "../api";
import { Evidence } from "../parts/evidence";
import { EVERYTHING, formatView, sessionAt } from "../view";
import { count, plain, Shown, Time } from "../text";
import { number, type Row, text, texts } from "./ask";
import { type Edge, Graph, layered, type Node } from "./graph";
import { many } from "./step";

const BOXES = 60;
const EXTERNAL: ReadonlySet<string> = new Set(["external", "external_content"]);
const HOWS = { declared: "said by its record", same: "the same words", user: "named by the user before" } as const;

interface Flow {
  row: Row;
  source: string;
  sink: string;
  how: keyof typeof HOWS;
  words: string[];
}

const flowOf = (row: Row): Flow => ({
  row,
  source: String(row.source_seq),
  sink: String(row.sink_seq),
  how: row.link === "derived_from" ? "declared" : row.named_by_user === true ? "user" : "same",
  words: texts(row, "carried"),
});

/** Which result went into which later arguments, as a picture and as a table. `start` is the record that the picture is drawn around. */
export function Flows({ rows, start, session, who }: { rows: Row[]; start?: number; session?: string; who: Who }) {
  const [named, show] = useState(false);
  const contents = who.permits.includes("contents");
  const all = useMemo(() => rows.map(flowOf), [rows]);
  const flows = useMemo(() => all.filter(({ how }) => named || how !== "user"), [all, named]);
  const ends = [...new Set(flows.flatMap(({ source, sink }) => [Number(source), Number(sink)]))].sort((one, other) => one - other);
  const users = all.length - all.filter(({ how }) => how !== "user").length;
  return (
    <section class="flows" aria-label="Flows">
      <div class="summary">
        <span role="status">{many(flows.length, "flow")}</span>
        {users > 0 && (
          <label class="dim">
            <input type="checkbox" checked={named} onChange={(event) => show(event.currentTarget.checked)} /> also what the user had named ({count(users)})
          </label>
        )}
        {flows.length > 0 && <Evidence selection={{ seqs: ends }} what={many(ends.length, "entry of this picture", "entries of this picture")} who={who} />}
      </div>
      {!contents && <p class="dim">Words are not for your role: only what records themselves declare is here.</p>}
      {flows.length === 0 ? (
        <div class="nothing">
          <h2>Nothing flowed</h2>
          <p class="dim">No result's words stand in later arguments{users > 0 ? " but those that the user had named" : ""}, and no record says that it was derived from another.</p>
        </div>
      ) : (
        <>
          <Picture flows={flows} {...(start !== undefined && { start })} {...(session !== undefined && { session })} />
          <FlowTable flows={flows} {...(start !== undefined && { start })} />
        </>
      )}
    </section>
  );
}

function Picture({ flows, start, session }: { flows: Flow[]; start?: number; session?: string }) {
  const drawn = useMemo(() => {
    const ends = new Map<string, { row: Row; end: "source" | "sink"; us: number }>();
    for (const { row, source, sink } of flows) {
      ends.set(source, ends.get(source) ?? { row, end: "source", us: number(row, "source_us")! });
      if (ends.get(sink)?.end !== "sink") ends.set(sink, { row, end: "sink", us: number(row, "sink_us")! }); // a sink's row knows how it ended
    }
    const trust = new Map(flows.map(({ row, source }) => [source, text(row, "source_trust")]));
    const near = new Map<string, number>();
    for (const { row, source, sink } of start === undefined ? [] : flows) {
      for (const end of [source, sink]) near.set(end, Number(end) === start ? 0 : Math.min(near.get(end) ?? Infinity, Math.abs(Number(row.step))));
    }
    const first = [...ends].sort((one, other) => (near.get(one[0]) ?? 0) - (near.get(other[0]) ?? 0) || one[1].us - other[1].us).slice(0, BOXES);
    const ordered = first.sort((one, other) => one[1].us - other[1].us || Number(one[0]) - Number(other[0]));
    const shown = new Set(ordered.map(([id]) => id));
    const kept = flows.filter(({ source, sink }) => shown.has(source) && shown.has(sink));
    const places = layered(
      ordered.map(([id]) => id),
      kept.map(({ source, sink }) => [source, sink] as const),
    );
    const nodes = ordered.map(([id, { row, end }]): Node => {
      const [tool, resource, elsewhere] = [text(row, `${end}_tool`) ?? "no tool", text(row, `${end}_resource_id`), text(row, `${end}_session`)];
      const external = EXTERNAL.has(trust.get(id) ?? "");
      const effect = text(row, `${end}_effect`);
      const bad = end === "sink" && ["denied", "failure", "timeout"].includes(text(row, "sink_status") ?? "");
      const strong = ["pay", "send", "delete", "delegate"].includes(effect ?? "");
      return {
        id,
        ...places.get(id)!,
        href: `#/record/${id}`,
        tone: `${external ? "untrusted" : ""} ${strong ? "strong" : ""} ${Number(id) === start ? "start" : ""}`,
        body: (
          <>
            <span class="top-line">
              <b class="name">
                <Shown text={tool} />
              </b>
              {external && <span class="tag warn">untrusted</span>}
              {bad && <span class="tag bad">{String(row.sink_status)}</span>}
              {!bad && strong && <span class="tag">{effect}</span>}
            </span>
            <span class="sub">
              {resource ? <Shown text={resource} /> : <Shown text={text(row, `${end}_agent`) ?? "nothing named"} />}
              {session !== undefined && elsewhere !== null && elsewhere !== session && " · another session"}
            </span>
          </>
        ),
      };
    });
    const edges = kept.map((flow): Edge => ({ id: `${flow.source} ${flow.sink}`, from: flow.source, to: flow.sink, tone: flow.how, label: HOWS[flow.how] }));
    return { nodes, edges, left: ends.size - ordered.length };
  }, [flows, start, session]);
  return (
    <>
      <Graph
        nodes={drawn.nodes}
        edges={drawn.edges}
        label="Data flow, from results to later arguments"
        detail={({ node, edge }) => {
          const told = flows.filter((flow) => `${flow.source} ${flow.sink}` === edge || flow.source === node || flow.sink === node);
          if (told.length === 0) return <p class="dim">Point at a box or a line, or go through the boxes with Tab: here stands what it carried. Enter opens the record.</p>;
          return (
            <ul>
              {told.slice(0, 4).map((flow) => (
                <li key={`${flow.source} ${flow.sink}`}>
                  <Place row={flow.row} end="source" /> → <Place row={flow.row} end="sink" /> <How how={flow.how} /> <Words flow={flow} most={3} />
                </li>
              ))}
              {told.length > 4 && <li class="dim">and {count(told.length - 4)} more, in the table</li>}
            </ul>
          );
        }}
      />
      <ul class="legend" aria-label="What the lines mean">
        {Object.entries(HOWS).map(([how, said]) => (
          <li key={how}>
            <svg width="34" height="10" aria-hidden="true" class="sample">
              <g class={`edge ${how}`}>
                <path class="line" d="M0 5H34" />
              </g>
            </svg>
            {said}
          </li>
        ))}
        {drawn.left > 0 && <li class="warn">and {many(drawn.left, "record")} more, in the table</li>}
      </ul>
    </>
  );
}

function Place({ row, end }: { row: Row; end: "source" | "sink" }) {
  return (
    <a href={`#/record/${row[`${end}_seq`]}`} class="name">
      <Shown text={text(row, `${end}_tool`) ?? "no tool"} />
    </a>
  );
}

const How = ({ how }: { how: Flow["how"] }) => <span class={`how ${how}`}>{HOWS[how]}</span>;

function Words({ flow, most }: { flow: Flow; most: number }) {
  const paths = texts(flow.row, "paths");
  return (
    <>
      {flow.words.slice(0, most).map((word, index) => (
        <q key={index} title={plain(`in ${paths[index] ?? "its arguments"}`)}>
          <Shown text={word.length > 200 ? `${word.slice(0, 200)}…` : word} />
        </q>
      ))}
      {flow.words.length > most && <span class="dim"> and {count(flow.words.length - most)} more</span>}
      {flow.words[0] && (
        <a class="elsewhere" href={formatView({ ...EVERYTHING, text: sought(flow.words[0]) })} title="Search every session for these words">
          where else?
        </a>
      )}
    </>
  );
}

/** What a search finds again: the words as they stand, without what is written around them. */
const sought = (words: string): string => words.replace(/^[^\p{L}\p{N}]+/u, "").slice(0, 120);

const AT_ONCE = 200;

function FlowTable({ flows, start }: { flows: Flow[]; start?: number }) {
  const [shown, more] = useState(AT_ONCE);
  return (
    <>
      <div class="table">
        <table>
          <thead>
            <tr>
              <th scope="col">Used at (UTC)</th>
              <th scope="col">From the result of</th>
              <th scope="col">Into the arguments of</th>
              <th scope="col">How it is known</th>
              <th scope="col">Words</th>
            </tr>
          </thead>
          <tbody>
            {flows.slice(0, shown).map((flow) => (
              <tr key={`${flow.source} ${flow.sink}`}>
                <td class="time">
                  <Time at={new Date(number(flow.row, "sink_us")! / 1000).toISOString()} />
                </td>
                {(["source", "sink"] as const).map((end) => (
                  <td key={end} data-label={end === "source" ? "From" : "Into"}>
                    <span class="place">
                      <Place row={flow.row} end={end} />
                      {Number(flow[end]) === start && <span class="tag">this record</span>}
                      {end === "source" && EXTERNAL.has(text(flow.row, "source_trust") ?? "") && <span class="tag warn">untrusted</span>}
                      {end === "sink" && text(flow.row, "sink_status") && (
                        <span class={`tag ${["denied", "failure", "timeout"].includes(text(flow.row, "sink_status")!) ? "bad" : ""}`}>{text(flow.row, "sink_status")}</span>
                      )}
                      <small>
                        <Shown text={text(flow.row, `${end}_resource_id`) ?? text(flow.row, `${end}_agent`) ?? ""} />
                      </small>
                      {end === "source" && flow.row.source_session !== flow.row.sink_session && flow.row.source_session !== null && (
                        <a href={sessionAt(String(flow.row.source_session), text(flow.row, "source_submitter"))}>another session</a>
                      )}
                    </span>
                  </td>
                ))}
                <td data-label="How">
                  <How how={flow.how} />
                </td>
                <td data-label="Words" class="carried">
                  {flow.words.length ? <Words flow={flow} most={4} /> : <span class="none">–</span>}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {flows.length > shown && (
        <button type="button" class="next" onClick={() => more(shown + AT_ONCE)}>
          More rows ({count(shown)} of {count(flows.length)} shown)
        </button>
      )}
    </>
  );
}
