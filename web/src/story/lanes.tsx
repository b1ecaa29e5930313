import { useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { plain, Shown, Time } from "../text";
import { text } from "./ask";
import { type Axis, axisOf } from "./fold";
import { BESIDE, Glyph, GLYPH_PX, Legend } from "./glyphs";
import { type Lane, lanesOf, many, type Step, story } from "./step";

const AXIS_PX = 34;
const AGENT_PX = 25;
const ROW_PX = 19;
const LEAST_PX = 8;
const ROWS = 6; // so many bars of a lane beside each other; what is more lies over them
const PAD = 10;
const BRUSH_PX = 6;

export interface Gap {
  source: string;
  missing: number;
  after: number;
  before: number;
}
export type Zoom = [from: number, to: number] | null;

interface Bar {
  step: Step;
  lane: number;
  x: number;
  y: number;
  wide: number;
}
interface Drawn {
  axis: Axis;
  bars: Bar[];
  labels: { agent: string; tool: string; y: number; tall: number; n: number; first: boolean }[];
  tall: number;
}

interface Props {
  steps: Step[];
  gaps: Gap[];
  untrusted: number | null;
  zoom: Zoom;
  zoomed: (zoom: Zoom) => void;
}

/** The session as lanes, one for each agent's tool, on one time axis. Drag to look closer; arrows go from bar to bar, Enter opens one. */
export function Lanes({ steps, gaps, untrusted, zoom, zoomed }: Props) {
  const room = useRef<HTMLDivElement>(null);
  const picture = useRef<SVGSVGElement>(null);
  const [width, measure] = useState(0);
  const [chosen, choose] = useState<number>();
  const [drag, pull] = useState<[number, number]>();
  useLayoutEffect(() => {
    const observed = room.current!;
    const look = new ResizeObserver(() => measure(Math.floor(observed.clientWidth)));
    look.observe(observed);
    measure(Math.floor(observed.clientWidth));
    return () => look.disconnect();
  }, []);
  const lanes = useMemo(() => lanesOf(steps), [steps]);
  const whole = useMemo<[number, number]>(() => [steps[0]?.from ?? 0, Math.max(...steps.map(({ to }) => to), steps[0]?.from ?? 0)], [steps]);
  const [from, to] = zoom ?? whole;
  const drawn = useMemo(() => (width > 0 ? draw(steps, lanes, from, to, width) : undefined), [steps, lanes, from, to, width]);
  const ordered = useMemo(() => drawn && [...drawn.bars].sort((one, other) => one.step.from - other.step.from || one.step.seq - other.step.seq), [drawn]);
  const now = ordered?.find(({ step }) => step.seq === chosen);
  const go = (bar: Bar | undefined): void => {
    if (bar) picture.current?.querySelector<SVGAElement>(`a[data-seq="${bar.step.seq}"]`)?.focus();
  };
  const closer = (factor: number): void => {
    const middle = now ? now.step.from : (from + to) / 2;
    const half = ((to - from) * factor) / 2;
    const next: [number, number] = [Math.max(whole[0], middle - half), Math.min(whole[1], middle + half)];
    zoomed(next[1] - next[0] >= whole[1] - whole[0] ? null : next);
  };
  const pressed = (event: KeyboardEvent): void => {
    if (event.ctrlKey || event.metaKey || event.altKey || !ordered?.length) return;
    const place = now ? ordered.indexOf(now) : -1;
    const acts: Record<string, () => void> = {
      ArrowRight: () => go(ordered[Math.min(place + 1, ordered.length - 1)]),
      ArrowLeft: () => go(ordered[Math.max(place - 1, 0)]),
      ArrowDown: () => go(now && beside(ordered, now, 1)),
      ArrowUp: () => go(now && beside(ordered, now, -1)),
      Home: () => go(ordered[0]),
      End: () => go(ordered.at(-1)),
      "+": () => closer(0.5),
      "-": () => closer(2),
      "0": () => zoomed(null),
    };
    const act = Object.hasOwn(acts, event.key) ? acts[event.key] : undefined;
    if (!act) return;
    event.preventDefault();
    event.stopPropagation();
    act();
  };
  const px = (event: PointerEvent): number => event.clientX - picture.current!.getBoundingClientRect().left - PAD;
  return (
    <figure class="lanes" aria-label="The session in time">
      <div class="swim">
        <div class="gutter" aria-hidden="true" style={{ height: `${drawn?.tall ?? 120}px` }}>
          {drawn?.labels.map(({ agent, tool, y, tall, n, first }) => [
            first && (
              <b key={`${agent} ${y}`} style={{ top: `${y - AGENT_PX}px`, height: `${AGENT_PX}px` }} title={plain(agent)}>
                {agent ? <Shown text={agent} /> : "no agent named"}
              </b>
            ),
            <span key={`${tool} ${y}`} class="name" style={{ top: `${y}px`, height: `${tall}px` }} title={plain(tool)}>
              <i>{tool ? <Shown text={tool} /> : "no tool"}</i> <small>{n}</small>
            </span>,
          ])}
        </div>
        <div class="water" ref={room}>
          {drawn && (
            <svg
              ref={picture}
              width={width}
              height={drawn.tall}
              role="group"
              aria-label={`${many(ordered!.length, "action")} in ${many(drawn.labels.length, "lane")}; the table below has the same`}
              onKeyDown={pressed}
              onPointerDown={(event) => {
                if (event.button !== 0 || (event.target as Element).closest("a")) return;
                picture.current!.setPointerCapture(event.pointerId);
                pull([px(event), px(event)]);
              }}
              onPointerMove={(event) => drag && pull([drag[0], px(event)])}
              onPointerUp={() => {
                if (drag && Math.abs(drag[1] - drag[0]) > BRUSH_PX) zoomed([drawn.axis.time(Math.min(...drag)), drawn.axis.time(Math.max(...drag))]);
                pull(undefined);
              }}
              onPointerCancel={() => pull(undefined)}
              onDblClick={() => zoomed(null)}
            >
              <defs>
                <pattern id="lanes-gap" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">
                  <rect class="gap-line" width="2" height="6" />
                </pattern>
              </defs>
              <g transform={`translate(${PAD} 0)`}>
                <Ground drawn={drawn} width={width} from={from} to={to} gaps={gaps} untrusted={untrusted} />
                {drawn.bars.map((bar) => (
                  <Action key={bar.step.seq} bar={bar} axis={drawn.axis} first={now ? bar === now : bar === ordered![0]} chosen={choose} />
                ))}
                {drag && <rect class="brush" x={Math.min(...drag)} width={Math.abs(drag[1] - drag[0])} y={0} height={drawn.tall} />}
              </g>
            </svg>
          )}
        </div>
      </div>
      <p class="detail">{now ? <Detail step={now.step} /> : <span class="dim">Drag over the picture to look closer; point at a bar, or go from bar to bar with the arrows.</span>}</p>
      <figcaption>
        <Legend />
        {zoom && (
          <button type="button" onClick={() => zoomed(null)}>
            Whole session
          </button>
        )}
      </figcaption>
    </figure>
  );
}

function Detail({ step }: { step: Step }) {
  const resource = text(step.row, "resource");
  return (
    <>
      <Time at={new Date(step.from / 1000).toISOString()} />{" "}
      <b class="name">
        <Shown text={step.tool || "no tool"} />
      </b>{" "}
      {resource && (
        <span class="name">
          <Shown text={resource} />
        </span>
      )}{" "}
      <span>
        <Shown text={story(step)} />
      </span>
    </>
  );
}

/** What lies behind the bars: stripes, the folds in time, its scale, what a source counted and never sent, and from when on untrusted content was known. */
function Ground({ drawn, width, from, to, gaps, untrusted }: { drawn: Drawn; width: number; from: number; to: number; gaps: Gap[]; untrusted: number | null }) {
  const { axis, labels, tall } = drawn;
  return (
    <>
      {labels.map(({ y, tall: height }, index) => index % 2 === 0 && <rect key={y} class="stripe" x={-PAD} width={width} y={y} height={height} />)}
      {axis.stretches.map(
        ({ folded, left, right, from: start, to: end }) =>
          folded && (
            <g key={left} class="fold">
              <title>{`nothing for ${long(end - start)}`}</title>
              <rect x={left + 3} width={right - left - 6} y={AXIS_PX} height={tall - AXIS_PX} />
              <path d={zigzag((left + right) / 2, AXIS_PX, tall)} />
              <text x={(left + right) / 2} y={12} text-anchor="middle">
                {long(end - start)}
              </text>
            </g>
          ),
      )}
      {axis.ticks.map(({ px, us, label, day }) => (
        <g key={us} class="tick">
          <line x1={px} x2={px} y1={AXIS_PX - 5} y2={tall} />
          {day && label.length < 10 && (
            <text x={px} y={12} class="day" text-anchor={px < 40 ? "start" : "middle"}>
              {new Date(us / 1000).toISOString().slice(0, 10)}
            </text>
          )}
          <text x={px} y={25} text-anchor={px < 24 ? "start" : "middle"}>
            {label}
          </text>
        </g>
      ))}
      {gaps
        .filter(({ after, before }) => before >= from && after <= to)
        .map(({ source, missing, after, before }) => {
          const [left, right] = [axis.at(Math.max(after, from)), axis.at(Math.min(before, to))];
          const said = `${many(missing, "record")} of ${plain(source)} never arrived, numbered between the two beside it`;
          return (
            <g key={`${source} ${after}`} class="gap" role="img" aria-label={said}>
              <title>{said}</title>
              <rect x={Math.min(left, (left + right) / 2 - 4)} width={Math.max(right - left, 8)} y={AXIS_PX} height={tall - AXIS_PX} fill="url(#lanes-gap)" />
            </g>
          );
        })}
      {untrusted !== null && untrusted >= from && untrusted <= to && (
        <g class="exposed">
          <title>From here on the agent had read untrusted content</title>
          <line x1={axis.at(untrusted)} x2={axis.at(untrusted)} y1={AXIS_PX - 6} y2={tall} />
        </g>
      )}
    </>
  );
}

function Action({ bar, axis, first, chosen }: { bar: Bar; axis: Axis; first: boolean; chosen: (seq: number) => void }) {
  const { step, x, y, wide } = bar;
  const middle = y + ROW_PX / 2;
  const strong = step.marks.includes("consequence");
  const tall = strong ? 13 : 9;
  const beside = BESIDE.filter((mark) => step.marks.includes(mark));
  const end = axis.at(step.to);
  const scaled = end - x >= LEAST_PX;
  return (
    <a
      href={`#/record/${step.seq}`}
      data-seq={step.seq}
      tabIndex={first ? 0 : -1}
      class={`step ${step.marks.join(" ")}`}
      aria-label={`${plain(step.tool)}${step.row.resource ? ` ${plain(String(step.row.resource))}` : ""}: ${plain(story(step))}`}
      onFocus={() => chosen(step.seq)}
      onPointerEnter={() => chosen(step.seq)}
    >
      <rect class="hit" x={x - 2} y={y} width={wide + 4} height={ROW_PX} />
      {scaled ? (
        step.parts.map(({ kind, from, to }) => {
          const [left, right] = [Math.max(axis.at(from), x), axis.at(to)];
          const high = kind === "run" ? tall : kind === "decide" ? 6 : 2;
          return <rect key={kind} class={kind} x={left} width={Math.max(right - left, kind === "run" ? 2 : 1)} y={middle - high / 2} height={high} rx={kind === "run" ? 2 : 0} />;
        })
      ) : (
        <rect class="run" x={x} width={LEAST_PX} y={middle - tall / 2} height={tall} rx={2} />
      )}
      {beside.map((mark, index) => (
        <Glyph key={mark} mark={mark} x={x + Math.max(end - x, LEAST_PX) + 3 + GLYPH_PX * index + GLYPH_PX / 2} y={middle} />
      ))}
    </a>
  );
}

function draw(steps: Step[], lanes: Lane[], from: number, to: number, width: number): Drawn {
  const inner = Math.max(width - 2 * PAD - 4 * GLYPH_PX, 80);
  const shown = (step: Step): boolean => step.to >= from && step.from <= to;
  const axis = axisOf(steps.map((step) => [step.from, step.to] as const), from, to, inner);
  const bars: Bar[] = [];
  const labels: Drawn["labels"] = [];
  let y = AXIS_PX;
  let agent: string | undefined;
  lanes.forEach((lane, index) => {
    const here = lane.steps.filter(shown);
    if (here.length === 0) return;
    const first = lane.agent !== agent;
    agent = lane.agent;
    if (first) y += AGENT_PX;
    const ends: number[] = [];
    for (const step of here) {
      const x = axis.at(Math.max(step.from, from));
      const wide = Math.max(axis.at(Math.min(step.to, to)) - x, LEAST_PX) + BESIDE.filter((mark) => step.marks.includes(mark)).length * GLYPH_PX + 3;
      let row = ends.findIndex((end) => end <= x);
      if (row < 0) row = ends.length < ROWS ? ends.length : ends.indexOf(Math.min(...ends));
      ends[row] = x + wide;
      bars.push({ step, lane: index, x, y: y + row * ROW_PX, wide });
    }
    const tall = ends.length * ROW_PX + 3;
    labels.push({ agent: lane.agent, tool: lane.tool, y, tall, n: here.length, first });
    y += tall;
  });
  return { axis, bars, labels, tall: y + 4 };
}

/** The bar nearest in time in the next lane that has one, down or up. */
function beside(bars: Bar[], from: Bar, by: 1 | -1): Bar | undefined {
  const others = bars.filter(({ lane }) => (lane - from.lane) * by > 0);
  const next = by > 0 ? Math.min(...others.map(({ lane }) => lane)) : Math.max(...others.map(({ lane }) => lane));
  const far = (bar: Bar): number => Math.abs(bar.step.from - from.step.from);
  return others.filter(({ lane }) => lane === next).sort((one, other) => far(one) - far(other))[0];
}

function zigzag(x: number, from: number, to: number): string {
  const points: string[] = [];
  for (let [y, side] = [from, -1]; y < to; y += 6, side = -side) points.push(`${x + side * 2.5} ${y}`);
  return `M${points.join("L")}`;
}

export function long(us: number): string {
  for (const [unit, size] of [["d", 8.64e10], ["h", 3.6e9], ["min", 6e7], ["s", 1e6], ["ms", 1e3]] as const) {
    if (us >= size) return `${Math.round(us / size)} ${unit}`;
  }
  return `${Math.round(us)} µs`;
}
