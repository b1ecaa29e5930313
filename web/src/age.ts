// How long ago, in one or two words; the exact time stands beside it or in its title.

const STEPS: readonly [string, number][] = [
  ["y", 365.25 * 86_400],
  ["d", 86_400],
  ["h", 3_600],
  ["min", 60],
  ["s", 1],
];

/** Seconds in words: 45 s, 12 min, 3.5 h, 12 d; what is less than a tenth of a second is "now". */
export function spell(seconds: number): string {
  const size = Math.abs(seconds);
  for (const [unit, each] of STEPS) {
    if (size >= each) {
      const n = size / each;
      return `${n < 10 && unit !== "s" ? n.toFixed(1).replace(/\.0$/, "") : Math.round(n)} ${unit}`;
    }
  }
  return size < 0.1 ? "0 s" : `${size.toFixed(1)} s`;
}

export const since = (at: string, now: number = Date.now()): number => (now - Date.parse(at)) / 1000;
