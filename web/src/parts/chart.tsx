import { useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import type { Answer } from "../api";
import { choicesOf, extent, figure, KIND_NAMES, type Kind, kindsOf, labelsOf, numberOf, type Plan, type Point, planned, possible, type Series, seriesOf, ticks, timeLabel, timeTicks } from "../chart";
import { count, plain, Shown } from "../text";

const TALL = 240;
const LEFT = 56;
const RIGHT = 12;
const TOP = 10;
const BOTTOM = 24;
const BARS = 24;
const DOTS = 2;

/** A picture of an answer. The table beside it has every number of it. */
export function Chart({ answer, plan, set }: { answer: Answer; plan: Plan; set: (plan: Plan) => void }) {
  const kinds = possible(kindsOf(answer));
  const choices = choicesOf(plan.kind, kindsOf(answer));
  const name = (column: number): string => plain(answer.columns[column]!.name);
  return (
    <figure class="chart">
      <div class="picks">
        <select aria-label="Kind of picture" value={plan.kind} onChange={(event) => set(planned(event.currentTarget.value as Kind, answer))}>
          {kinds.map((kind) => (
            <option key={kind} value={kind}>
              {KIND_NAMES[kind]}
            </option>
          ))}
        </select>
        {(["x", "y"] as const).map(
          (axis) =>
            choices[axis].length > 1 && (
              <select key={axis} aria-label={axis === "x" ? "Along" : "Shown"} value={String(plan[axis])} onChange={(event) => set({ ...plan, [axis]: Number(event.currentTarget.value) })}>
                {choices[axis].map((column) => (
                  <option key={column} value={column}>
                    {name(column)}
                  </option>
                ))}
              </select>
            ),
        )}
        {choices.by.length > 0 && (
          <select aria-label="Split by" value={String(plan.by ?? "")} onChange={(event) => set({ ...plan, by: event.currentTarget.value === "" ? null : Number(event.currentTarget.value) })}>
            <option value="">not split</option>
            {choices.by.map((column) => (
              <option key={column} value={column}>
                by {name(column)}
              </option>
            ))}
          </select>
        )}
      </div>
      {plan.kind === "bar" ? <Bars plan={plan} answer={answer} /> : <Axes plan={plan} answer={answer} />}
      {answer.truncated && <figcaption class="warn small">Of the first {count(answer.rows.length)} rows alone: there are more.</figcaption>}
    </figure>
  );
}

function Bars({ plan, answer }: { plan: Plan; answer: Answer }) {
  const rows = answer.rows.flatMap((row) => {
    const value = numberOf(row[plan.y!]);
    return value === null ? [] : [{ what: row[plan.x] ?? null, value, said: row[plan.y!] }];
  });
  const most = rows.slice(0, BARS).reduce((so, { value }) => Math.max(so, Math.abs(value)), 0) || 1;
  return (
    <>
      <ol class="bars" aria-label={`${plain(answer.columns[plan.y!]!.name)} by ${plain(answer.columns[plan.x]!.name)}`}>
        {rows.slice(0, BARS).map(({ what, value, said }, index) => (
          <li key={index}>
            <span class="what name" title={what === null ? "NULL" : plain(String(what))}>
              {what === null ? <em>NULL</em> : <Shown text={String(what)} />}
            </span>
            <span class="track">
              <span class={value < 0 ? "under" : ""} style={{ width: `${Math.max(0, (Math.abs(value) / most) * 100)}%` }} />
            </span>
            <span class="n">{typeof said === "number" ? figure(said) : String(said)}</span>
          </li>
        ))}
      </ol>
      {rows.length > BARS && <figcaption class="dim small">The first {BARS} of {count(rows.length)} rows, in their order.</figcaption>}
      {rows.length < answer.rows.length && <figcaption class="dim small">{count(answer.rows.length - rows.length)} rows have no number there.</figcaption>}
    </>
  );
}

function Axes({ plan, answer }: { plan: Plan; answer: Answer }) {
  const [wide, measure] = useState(720);
  const [at, point] = useState<number>();
  const box = useRef<HTMLDivElement>(null);
  useLayoutEffect(() => {
    const seen = new ResizeObserver(([entry]) => measure(Math.max(260, Math.floor(entry!.contentRect.width))));
    seen.observe(box.current!);
    return () => seen.disconnect();
  }, []);
  const { series, dropped, bin } = useMemo(() => seriesOf(plan, answer), [plan.kind, plan.x, plan.y, plan.by, answer]);
  const scale = useMemo(() => scaled(plan, series, bin, wide), [series, bin, wide]);
  const places = useMemo(() => [...new Set(series.flatMap(({ points }) => points.map(({ x }) => x)))].sort((one, other) => one - other), [series]);
  if (places.length === 0) return <p class="dim small">No row has a value on both axes.</p>;
  const timed = plan.kind !== "scatter";
  const shown = at === undefined ? undefined : places[Math.min(at, places.length - 1)]!;
  const label = (x: number): string => (timed ? new Date(x).toISOString().replace("T", " ").replace(/(\.000)?Z$/, "") : figure(x));
  const step = (by: number): void => point(Math.max(0, Math.min(places.length - 1, (at ?? (by > 0 ? -1 : places.length)) + by)));
  return (
    <div class="axes" ref={box}>
      <svg
        width={wide}
        height={TALL}
        viewBox={`0 0 ${wide} ${TALL}`}
        role="img"
        tabindex={0}
        aria-label={`${KIND_NAMES[plan.kind]} from ${label(scale.low)} to ${label(scale.high)}; arrow keys go through it, the table has every number`}
        onPointerMove={(event) => point(nearest(places, scale.back(event.clientX - box.current!.getBoundingClientRect().left)))}
        onPointerLeave={() => point(undefined)}
        onKeyDown={(event) => {
          const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
          if (event.key === "Escape") point(undefined);
          if (by === undefined) return;
          event.preventDefault();
          step(by);
        }}
      >
        {scale.across.map(({ at: y, label: said }) => (
          <g key={y} class="tick">
            <line x1={LEFT} x2={wide - RIGHT} y1={scale.y(y)} y2={scale.y(y)} />
            <text x={LEFT - 8} y={scale.y(y) + 4} text-anchor="end">
              {said}
            </text>
          </g>
        ))}
        {scale.along.map(({ at: x, label: said }) => (
          <text key={x} class="tick" x={scale.x(x)} y={TALL - 6} text-anchor="middle">
            {said}
          </text>
        ))}
        {shown !== undefined && <line class="here" x1={scale.x(shown)} x2={scale.x(shown)} y1={TOP} y2={TALL - BOTTOM} />}
        {series.map((each, index) => (
          <Drawn key={index} plan={plan} series={each} before={series.slice(0, index)} scale={scale} index={index} />
        ))}
      </svg>
      <figcaption aria-live="polite">
        {series.length > 1 || series[0]?.name !== undefined ? (
          series.map(({ name, points }, index) => (
            <span key={index} class={`key s${index}`}>
              <i /> {name === null ? <em>NULL</em> : <Shown text={name ?? ""} />} {shown !== undefined && <b>{valueAt(points, shown)}</b>}
            </span>
          ))
        ) : (
          <span>{shown !== undefined && <b>{valueAt(series[0]!.points, shown)}</b>}</span>
        )}
        <span class="dim">{shown === undefined ? `${plain(plan.y === null ? "rows" : answer.columns[plan.y]!.name)} by ${plain(answer.columns[plan.x]!.name)}` : label(shown)}</span>
        {dropped > 0 && <span class="dim">{count(dropped)} rows are not in the picture</span>}
      </figcaption>
    </div>
  );
}

interface Scale {
  low: number;
  high: number;
  bin: number;
  x: (value: number) => number;
  y: (value: number) => number;
  back: (pixel: number) => number;
  across: Tick[];
  along: Tick[];
}

interface Tick {
  at: number;
  label: string;
}

const labelled = (values: number[]): Tick[] => labelsOf(values).map((label, index) => ({ at: values[index]!, label }));

function scaled(plan: Plan, series: Series[], bin: number, wide: number): Scale {
  const points = series.flatMap((each) => each.points);
  let [low, high] = extent(points.map(({ x }) => x));
  high += bin;
  if (low === high) [low, high] = around(low);
  const tall = plan.kind === "time" ? stacked(series) : points.map(({ y }) => y);
  const [least, most] = extent(tall);
  const bottom = plan.kind === "scatter" && least > 0 ? least : Math.min(0, least);
  const top = most > bottom ? most : around(bottom)[1];
  const across = wide - LEFT - RIGHT;
  const up = TALL - TOP - BOTTOM;
  const many = Math.max(2, Math.floor(across / 90));
  return {
    low,
    high,
    bin,
    x: (value) => LEFT + ((value - low) / (high - low)) * across,
    y: (value) => TOP + up - ((value - bottom) / (top - bottom)) * up,
    back: (pixel) => low + ((pixel - LEFT) / across) * (high - low) - bin / 2,
    across: labelled(ticks(bottom, top, 4)),
    along: plan.kind === "scatter" ? labelled(ticks(low, high, many)) : timeTicks(low, high, many).map((at) => ({ at, label: timeLabel(at, high - low) })),
  };
}

/** A little less and more, so that it is another number however large it is. */
const around = (value: number): [number, number] => [value - Math.max(1, Math.abs(value) / 1e6), value + Math.max(1, Math.abs(value) / 1e6)];

const stacked = (series: Series[]): number[] => (series[0]?.points ?? []).map((_, index) => series.reduce((sum, { points }) => sum + points[index]!.y, 0));

function Drawn({ plan, series, before, scale, index }: { plan: Plan; series: Series; before: Series[]; scale: Scale; index: number }) {
  const { points } = series;
  if (plan.kind === "time") {
    const wide = Math.max(1, scale.x(scale.low + scale.bin) - scale.x(scale.low));
    return (
      <g class={`s${index}`}>
        {points.map(({ x, y }, bar) => {
          const under = before.reduce((sum, each) => sum + each.points[bar]!.y, 0);
          return y > 0 && <rect key={bar} class="fill" x={scale.x(x) + wide * 0.06} width={wide * 0.88} y={scale.y(under + y)} height={scale.y(under) - scale.y(under + y)} />;
        })}
      </g>
    );
  }
  const line = plan.kind === "line" ? points.map(({ x, y }, place) => `${place ? "L" : "M"}${scale.x(x).toFixed(1)} ${scale.y(y).toFixed(1)}`).join("") : "";
  return (
    <g class={`s${index}`}>
      {line && <path class="line" d={line} />}
      {(plan.kind === "scatter" || points.length <= 120) && points.map(({ x, y }, dot) => <circle key={dot} class="fill" cx={scale.x(x)} cy={scale.y(y)} r={DOTS} />)}
    </g>
  );
}

const nearest = (places: number[], x: number): number => places.reduce((best, place, index) => (Math.abs(place - x) < Math.abs(places[best]! - x) ? index : best), 0);
const valueAt = (points: Point[], x: number): string => {
  const found = points.filter((point) => point.x === x).map(({ y }) => figure(y));
  return found.length > 3 ? `${found.slice(0, 3).join(", ")} …` : found.join(", ") || "–";
};
