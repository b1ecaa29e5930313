// A time axis on which pauses are folded: a night between two steps takes as much room as a seam, and what happened in a second is seen.

export const FOLD_PX = 34;
const MOST_FOLDS = 24;
const SHARE = 0.12; // a pause is folded from this share of what is left on,
const TIMES = 6; // and where it is so many times as long as the usual one
const TICK_PX = 96;
const STEPS_US = [
  1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 2e4, 5e4, 1e5, 2e5, 5e5, 1e6, 2e6, 5e6, 1e7, 1.5e7, 3e7, 6e7, 1.2e8, 3e8, 6e8, 9e8, 1.8e9, 3.6e9,
  7.2e9, 1.08e10, 2.16e10, 4.32e10, 8.64e10, 1.728e11, 6.048e11, 2.592e12, 7.776e12, 3.1536e13,
];

interface Stretch {
  from: number;
  to: number;
  left: number;
  right: number;
  folded: boolean;
}

export interface Axis {
  stretches: Stretch[];
  at: (us: number) => number;
  time: (px: number) => number;
  ticks: { px: number; us: number; label: string; day: boolean }[];
}

/** The axis from one time to another, in microseconds, over a width in pixels; `spans` is what happened on it. */
export function axisOf(spans: readonly (readonly [number, number])[], from: number, to: number, width: number): Axis {
  const stretches = stretched(pauses(spans, from, to), from, to, width);
  const at = (us: number): number => {
    const found = stretches.find((each) => us <= each.to) ?? stretches.at(-1)!;
    const share = found.to > found.from ? (us - found.from) / (found.to - found.from) : 0.5;
    return found.left + Math.max(0, Math.min(1, share)) * (found.right - found.left);
  };
  const time = (px: number): number => {
    const found = stretches.find((each) => px <= each.right) ?? stretches.at(-1)!;
    const share = found.right > found.left ? (px - found.left) / (found.right - found.left) : 0;
    return found.from + Math.max(0, Math.min(1, share)) * (found.to - found.from);
  };
  return { stretches, at, time, ticks: ticked(stretches) };
}

/** The times in which nothing went on, that are worth a fold. */
function pauses(spans: readonly (readonly [number, number])[], from: number, to: number): [number, number][] {
  const seen = spans.filter(([, end]) => end >= from).filter(([start]) => start <= to).sort((one, other) => one[0] - other[0]);
  const idle: [number, number][] = [];
  let busy = from;
  for (const [start, end] of seen) {
    if (start > busy) idle.push([busy, start]);
    busy = Math.max(busy, Math.min(end, to));
  }
  if (to > busy && seen.length > 0) idle.push([busy, to]);
  const lengths = idle.map(([start, end]) => end - start).sort((one, other) => one - other);
  const usual = lengths[Math.floor((lengths.length - 1) / 2)] ?? 0;
  const folded: [number, number][] = [];
  let left = to - from;
  for (const pause of [...idle].sort((one, other) => other[1] - other[0] - (one[1] - one[0]))) {
    const length = pause[1] - pause[0];
    if (folded.length === MOST_FOLDS || length <= left * SHARE || length <= usual * TIMES) break;
    folded.push(pause);
    left -= length;
  }
  return folded.sort((one, other) => one[0] - other[0]);
}

function stretched(folded: [number, number][], from: number, to: number, width: number): Stretch[] {
  const busy = to - from - folded.reduce((sum, [start, end]) => sum + end - start, 0);
  const room = Math.max(width - folded.length * FOLD_PX, width / 4);
  const perUs = busy > 0 ? room / busy : 0;
  const stretches: Stretch[] = [];
  let [us, px] = [from, 0];
  const add = (end: number, wide: number, isFold: boolean): void => {
    stretches.push({ from: us, to: end, left: px, right: px + wide, folded: isFold });
    [us, px] = [end, px + wide];
  };
  for (const [start, end] of folded) {
    if (start > us || stretches.length === 0) add(start, (start - us) * perUs, false);
    add(end, FOLD_PX, true);
  }
  if (to > us || stretches.length === 0) add(to, busy > 0 ? (to - us) * perUs : room, false);
  return stretches;
}

function ticked(stretches: Stretch[]): Axis["ticks"] {
  const ticks: Axis["ticks"] = [];
  let day = "";
  for (const { from, to, left, right, folded } of stretches) {
    if (folded || right - left < 8) continue;
    const wide = ((to - from) / (right - left)) * TICK_PX;
    const step = STEPS_US.find((each) => each >= wide) ?? STEPS_US.at(-1)!;
    const first = Math.ceil(from / step) * step;
    for (let n = 0; first + n * step <= to && n * step <= to - from; n += 1) {
      const us = first + n * step; // counted and not added up: a microsecond more is no other number in the year 9999
      const px = left + ((us - from) / Math.max(to - from, 1)) * (right - left);
      if (ticks.length > 0 && px - ticks.at(-1)!.px < TICK_PX / 2) continue;
      const iso = new Date(us / 1000).toISOString();
      const isNew = iso.slice(0, 10) !== day;
      day = iso.slice(0, 10);
      ticks.push({ px, us, label: labelled(iso, us, step), day: isNew });
    }
  }
  return ticks;
}

function labelled(iso: string, us: number, step: number): string {
  if (step >= 8.64e10) return iso.slice(0, 10);
  if (step >= 6e7) return iso.slice(11, 16);
  if (step >= 1e6) return iso.slice(11, 19);
  if (step >= 1e3) return iso.slice(14, 23);
  return `${iso.slice(17, 23)}${String(us % 1000).padStart(3, "0")}`;
}
