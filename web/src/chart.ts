// Which picture an answer can be, by the types of its columns, and the numbers of its axes.

import type { Answer, Cell } from "./api";

export type Kind = "bar" | "line" | "time" | "scatter";
export const KIND_NAMES: Readonly<Record<Kind, string>> = { bar: "Bars", line: "Lines", time: "Over time", scatter: "Points" };

/** `x` and `y` are columns, by their number; `by` splits into series. */
export interface Plan {
  kind: Kind;
  x: number;
  y: number | null;
  by: number | null;
}

export interface Kinds {
  numbers: number[];
  times: number[];
  words: number[];
}

const NUMBER = /^(U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?|FLOAT|DOUBLE|DECIMAL(\(\d+,\d+\))?)$/; // no list of them, and no INTERVAL
const TIME = /^(TIMESTAMP(_S|_MS|_NS)?( WITH TIME ZONE)?|DATE)$/;
const WORD = /^(VARCHAR|BOOLEAN|ENUM\(.*\))$/s;
const PLACE = /(^|_)seqs?$/; // a place in the log is a number that nobody adds up
const SERIES = 4;

export const isNumber = (type: string): boolean => NUMBER.test(type);

export function kindsOf({ columns }: Answer): Kinds {
  const where = (fits: (type: string, name: string) => boolean): number[] =>
    columns.flatMap(({ name, type }, index) => (fits(type, name) ? [index] : []));
  return {
    numbers: where((type, name) => isNumber(type) && !PLACE.test(name)),
    times: where((type) => TIME.test(type)),
    words: where((type) => WORD.test(type)),
  };
}

/** The kinds that this answer can be shown as. */
export function possible({ numbers, times, words }: Kinds): Kind[] {
  const kinds: Kind[] = [];
  if (times.length && numbers.length) kinds.push("line");
  if (words.length && numbers.length) kinds.push("bar");
  if (times.length) kinds.push("time");
  if (numbers.length > 1) kinds.push("scatter");
  return kinds;
}

export function planned(kind: Kind, answer: Answer): Plan {
  const { numbers, times, words } = kindsOf(answer);
  const few = words.find((column) => new Set(answer.rows.map((row) => row[column])).size <= SERIES) ?? null;
  if (kind === "line") return { kind, x: times[0]!, y: numbers[0]!, by: few };
  if (kind === "time") return { kind, x: times[0]!, y: null, by: few };
  if (kind === "scatter") return { kind, x: numbers[0]!, y: numbers[1]!, by: few };
  return { kind, x: words[0]!, y: numbers[0]!, by: null };
}

const SAID = ["chart", "chart.x", "chart.y", "chart.by"] as const;

/** The picture that an address names, by the names of columns; null where it wants none, undefined where it names none that this answer can be. */
export function readPlan(query: URLSearchParams, answer: Answer): Plan | null | undefined {
  if (query.get("chart") === "none") return null;
  const kinds = kindsOf(answer);
  const kind = possible(kinds).find((each) => each === query.get("chart"));
  if (!kind) return undefined;
  const usual = planned(kind, answer);
  const choices = choicesOf(kind, kinds);
  const chosen = (axis: "x" | "y" | "by"): number | undefined => choices[axis].find((column) => answer.columns[column]!.name === query.get(`chart.${axis}`));
  const by = query.has("chart.by") ? (chosen("by") ?? null) : usual.by;
  return { kind, x: chosen("x") ?? usual.x, y: usual.y === null ? null : (chosen("y") ?? usual.y), by: kind === "bar" ? null : by };
}

export function writePlan(said: URLSearchParams, plan: Plan | null, { columns }: Answer): void {
  for (const name of SAID) said.delete(name);
  said.set("chart", plan?.kind ?? "none");
  if (!plan) return;
  said.set("chart.x", columns[plan.x]!.name);
  if (plan.y !== null) said.set("chart.y", columns[plan.y]!.name);
  if (plan.kind !== "bar") said.set("chart.by", plan.by === null ? "" : columns[plan.by]!.name);
}

/** What of an address is about its picture, to be written behind another one. */
export function pictureIn(query: URLSearchParams): string {
  const said = new URLSearchParams();
  for (const name of SAID) if (query.has(name)) said.set(name, query.get(name)!);
  return said.size ? `&${said}` : "";
}

/** The columns that a picture of this kind can have on each axis, and be split by. */
export const choicesOf = (kind: Kind, { numbers, times, words }: Kinds): { x: number[]; y: number[]; by: number[] } => ({
  x: kind === "bar" ? words : kind === "scatter" ? numbers : times,
  y: kind === "time" ? [] : numbers,
  by: kind === "bar" ? [] : words,
});

/** A picture is shown by itself where it says more than the table: few columns, and more than one row. */
export const speaks = (answer: Answer): boolean => answer.rows.length > 1 && answer.columns.length <= 4 && possible(kindsOf(answer)).length > 0;

export const numberOf = (cell: Cell | undefined): number | null => {
  const number = typeof cell === "number" ? cell : typeof cell === "string" && cell !== "" ? Number(cell) : Number.NaN;
  return Number.isFinite(number) ? number : null;
};

const timeOf = (cell: Cell | undefined): number | null => {
  const ms = typeof cell === "string" ? Date.parse(/^\d{4}-\d\d-\d\d$|Z$|[+-]\d\d:\d\d$/.test(cell) ? cell : `${cell}Z`) : Number.NaN;
  return Number.isFinite(ms) ? ms : null;
};

export interface Point {
  x: number;
  y: number;
}

/** `name` is the value that it is of: undefined where nothing is split, null where the value is NULL. */
export interface Series {
  name: string | null | undefined;
  points: Point[];
}

const BINS = 60;

/** The points of a picture with axes, a series for each of the first few values of `by`, how wide a bar is, and what was left out. */
export function seriesOf({ kind, x, y, by }: Plan, answer: Answer): { series: Series[]; dropped: number; bin: number } {
  const found = new Map<string | null | undefined, Point[]>();
  let dropped = 0;
  for (const row of answer.rows) {
    const at = kind === "scatter" ? numberOf(row[x]) : timeOf(row[x]);
    const tall = y === null ? 1 : numberOf(row[y]);
    const cell = by === null ? undefined : (row[by] ?? null);
    const name = cell === undefined || cell === null ? cell : String(cell);
    const points = found.get(name) ?? [];
    if (at === null || tall === null || (!found.has(name) && found.size === SERIES)) dropped += 1;
    else found.set(name, append(points, { x: at, y: tall }));
  }
  const series = [...found].map(([name, points]): Series => ({ name, points }));
  if (kind === "line") for (const each of series) each.points.sort((one, other) => one.x - other.x);
  return kind === "time" ? { ...binned(series), dropped } : { series, dropped, bin: 0 };
}

function append(points: Point[], point: Point): Point[] {
  points.push(point);
  return points;
}

function binned(series: Series[]): { series: Series[]; bin: number } {
  const [low, high] = extent(series.flatMap(({ points }) => points.map(({ x }) => x)));
  const wide = stepOver(high - low, BINS);
  const first = Math.floor(low / wide);
  const many = Math.floor(high / wide) - first + 1;
  const counted = series.map(({ name, points }) => {
    const counts = new Array<number>(many).fill(0);
    for (const { x } of points) counts[Math.floor(x / wide) - first]! += 1;
    return { name, points: counts.map((y, index) => ({ x: (first + index) * wide, y })) };
  });
  return { series: counted, bin: wide };
}

const SECOND = 1000;
const DAY = 86_400 * SECOND;
const STEPS = [1, 10, 100, SECOND, 5 * SECOND, 15 * SECOND, 60 * SECOND, 300 * SECOND, 900 * SECOND, 3600 * SECOND, 3 * 3600 * SECOND, 6 * 3600 * SECOND, 12 * 3600 * SECOND, DAY, 2 * DAY, 7 * DAY, 30 * DAY, 90 * DAY, 365 * DAY];
const stepOver = (span: number, most: number): number => STEPS.find((step) => span / step <= most) ?? Math.ceil(span / most / (365 * DAY)) * 365 * DAY;
export function extent(numbers: number[]): [number, number] {
  let low = Number.POSITIVE_INFINITY;
  let high = Number.NEGATIVE_INFINITY;
  for (const each of numbers) {
    low = Math.min(low, each);
    high = Math.max(high, each);
  }
  return low > high ? [0, 1] : [low, high];
}

/** About so many round numbers from one to the other. */
export function ticks(low: number, high: number, many: number): number[] {
  const rough = (high - low || 1) / many;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((each) => each * power).find((each) => each >= rough)!;
  return stepped(low, high, step).map((at) => Number(at.toPrecision(15)));
}

/** The multiples of a step. They are counted: of large numbers, one more may be the same number. */
function stepped(low: number, high: number, step: number): number[] {
  const first = Math.ceil(low / step);
  const found: number[] = [];
  for (let n = 0; n * step <= high - low && (first + n) * step <= high; n += 1) found.push((first + n) * step);
  return [...new Set(found)];
}

/** Round times in UTC. */
export function timeTicks(low: number, high: number, many: number): number[] {
  return stepped(low, high, stepOver(high - low || 1, many));
}

const FIGURE = new Intl.NumberFormat("en", { maximumSignificantDigits: 15 });
export const figure = (value: number): string => FIGURE.format(value);

/** What stands at the lines of an axis: short, and with as many digits as tell them apart. */
export function labelsOf(values: number[]): string[] {
  const digits = [1, 2, 3, 4].find((each) => values.every((value) => Number(value.toPrecision(each)) === value));
  const format = digits === undefined ? FIGURE : new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: digits });
  return values.map((value) => format.format(value));
}

/** A time with as much of it as tells the ticks apart. */
export function timeLabel(ms: number, span: number): string {
  const said = new Date(ms).toISOString();
  if (span > 3 * DAY) return said.slice(0, 10);
  if (span > 5 * 60 * SECOND) return said.slice(span > DAY ? 5 : 11, 16).replace("T", " ");
  return said.slice(11, span > 10 * SECOND ? 19 : 23);
}
