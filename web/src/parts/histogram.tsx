import { useRef, useState } from "preact/hooks";
import { BARS } from "../sql";
import { count, instant } from "../text";
import type { Counts } from "./facets";

const HEIGHT = 64;

/** How much happened when, what was denied or failed in another colour. Drag over it, or give two times, to look closer. */
export function Histogram({ counts, brushed }: { counts: Counts | undefined; brushed: (from: string, to: string) => void }) {
  const [drag, set] = useState<[number, number]>();
  const picture = useRef<SVGSVGElement>(null);
  const first = counts?.get("@first")?.[0]?.[1] ?? 0;
  const last = counts?.get("@last")?.[0]?.[1] ?? 0;
  if (!counts || !last || last <= first) return <div class="histogram empty" />;
  const bars = stacked(counts);
  const most = Math.max(1, ...bars.map(({ fine, trouble }) => fine + trouble));
  const at = (event: PointerEvent): number => {
    const box = picture.current!.getBoundingClientRect();
    return Math.max(0, Math.min(1, (event.clientX - box.left) / box.width));
  };
  const time = (fraction: number): string => instant(first + fraction * (last - first));
  const tall = (n: number): number => (n === 0 ? 0 : Math.max(1, (n / most) * HEIGHT));
  const [low, high] = drag ? [Math.min(...drag), Math.max(...drag)] : [0, 0];
  return (
    <figure class="histogram">
      <svg
        ref={picture}
        viewBox={`0 0 ${BARS} ${HEIGHT}`}
        preserveAspectRatio="none"
        role="img"
        aria-label={`Actions over time, from ${instant(first)} to ${instant(last)}; the table below lists them`}
        onPointerDown={(event) => {
          picture.current!.setPointerCapture(event.pointerId);
          set([at(event), at(event)]);
        }}
        onPointerMove={(event) => drag && set([drag[0], at(event)])}
        onPointerUp={(event) => {
          if (drag && Math.abs(at(event) - drag[0]) > 0.004) brushed(time(low), time(high));
          else if (drag) {
            const bar = Math.floor(drag[0] * BARS);
            brushed(time(bar / BARS), time((bar + 1) / BARS));
          }
          set(undefined);
        }}
        onPointerCancel={() => set(undefined)}
      >
        {bars.map(({ fine, trouble }, index) => (
          <g key={index}>
            <title>{`${time(index / BARS)}\n${count(fine + trouble)} actions${trouble ? `, ${count(trouble)} denied or failed` : ""}`}</title>
            <rect class="back" x={index} y={0} width={1} height={HEIGHT} />
            <rect class="fine" x={index + 0.09} width={0.82} y={HEIGHT - tall(fine + trouble)} height={tall(fine + trouble)} />
            <rect class="trouble" x={index + 0.09} width={0.82} y={HEIGHT - tall(trouble)} height={tall(trouble)} />
          </g>
        ))}
        {drag && <rect class="brush" x={low * BARS} width={(high - low) * BARS} y={0} height={HEIGHT} />}
      </svg>
      <figcaption>
        <span>{label(first)}</span>
        <span>{label((first + last) / 2)}</span>
        <span>{label(last)}</span>
      </figcaption>
    </figure>
  );
}

const label = (us: number): string => instant(us).slice(0, 16).replace("T", " ");

function stacked(counts: Counts): { fine: number; trouble: number }[] {
  const bars = Array.from({ length: BARS }, () => ({ fine: 0, trouble: 0 }));
  for (const [what, member] of [["@bar", "fine"], ["@trouble", "trouble"]] as const) {
    for (const [bar, n] of counts.get(what) ?? []) {
      const place = bars[Math.min(Number(bar), BARS - 1)];
      if (place) place[member] += n;
    }
  }
  return bars;
}
