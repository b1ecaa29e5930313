import type { ComponentChildren } from "preact";
import { MARKS, type Mark } from "./step";

export const GLYPH_PX = 11;
// Signs that stand beside a bar, each of another shape: who sees no colours tells them apart. `open` and `consequence` are in the bar itself.
export const BESIDE: readonly Mark[] = ["untrusted", "approved", "denied", "failed", "late"];

/** A sign of 8 by 8 pixels, its middle at x and y. */
export function Glyph({ mark, x, y }: { mark: Mark; x: number; y: number }) {
  const place = `translate(${x} ${y})`;
  if (mark === "denied") return <path class="glyph denied" transform={place} d="M-3.2-3.2 3.2 3.2M3.2-3.2-3.2 3.2" />;
  if (mark === "failed") return <path class="glyph failed" transform={place} d="M0-4V.6M0 3.3V4" />;
  if (mark === "approved") return <path class="glyph approved" transform={place} d="M-3.6.2-1 3 3.6-3" />;
  if (mark === "untrusted") return <path class="glyph untrusted" transform={place} d="M0-4 4 0 0 4-4 0Z" />;
  return (
    <g class="glyph late" transform={place}>
      <circle r="3.8" />
      <path d="M0-2.2V0H2" />
    </g>
  );
}

/** What the bars and signs mean. */
export function Legend() {
  return (
    <ul class="legend" aria-label="What the signs mean">
      <Sample wide={34} says="decided, waited for approval, ran">
        <rect class="decide" x="0" y="4" width="10" height="6" />
        <rect class="wait" x="10" y="6" width="10" height="2" />
        <rect class="run" x="20" y="3" width="14" height="8" rx="1.5" />
      </Sample>
      <Sample tone="consequence" wide={16} says={MARKS.consequence}>
        <rect class="run" x="0" y="1" width="16" height="12" rx="2" />
      </Sample>
      <Sample tone="open" wide={16} says={MARKS.open}>
        <rect class="run" x="1" y="3" width="14" height="8" rx="1.5" />
      </Sample>
      {BESIDE.map((mark) => (
        <Sample key={mark} wide={12} says={MARKS[mark]}>
          <Glyph mark={mark} x={6} y={7} />
        </Sample>
      ))}
    </ul>
  );
}

function Sample({ tone = "", wide, says, children }: { tone?: string; wide: number; says: string; children: ComponentChildren }) {
  return (
    <li class={tone}>
      <svg width={wide} height="14" aria-hidden="true">
        {children}
      </svg>
      {says}
    </li>
  );
}
