import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { type Answer, query } from "../api";
import { known, WORDS } from "../columns";
import { told } from "../hooks";
import { seen } from "../sql";
import { count, duration, plain, Shown, short, Time } from "../text";
import { EVERYTHING, type Filter, filtered, formatView, type View } from "../view";
import { ProblemBox } from "./problem";

export const BAD: ReadonlySet<string> = new Set(["deny", "denied", "failure", "timeout", "rejected", "expired", "error"]);
const GOOD: ReadonlySet<string> = new Set(["allow", "success", "approved"]);

/** Columns whose values something may be reached with: as what the blast radius takes them. */
const REACHES: Readonly<Record<string, string>> = {
  agent: "agent",
  credential: "credential",
  tool_name: "tool",
  tool_server: "server",
  identity_principal: "user",
  person: "user",
  by_user: "user",
  request_user: "user",
  resource_id: "resource",
  resource_name: "resource",
  resource_destination: "resource",
  resource: "resource",
  submitter: "submitter",
};

/** How a value of a column looks: a state as a pill, a name in the machine's type. */
export function ValueText({ column, value }: { column: string; value: string }) {
  if (WORDS.has(column)) {
    const tone = BAD.has(value) ? "bad" : GOOD.has(value) ? "good" : "";
    return (
      <span class={`pill ${tone}`}>
        <Shown text={value} />
      </span>
    );
  }
  if (column === "outcome_duration_ns") return <span>{duration(Number(value))}</span>;
  return (
    <span class="name">
      <Shown text={value} />
    </span>
  );
}

/** A value that opens: how often it was seen, since when, and the way to the others. */
export function Pivot({ column, value, view, label }: { column: string; value: string; view?: View; label?: string }) {
  const [open, set] = useState(false);
  const place = useRef<HTMLSpanElement>(null);
  const close = (): void => {
    set(false);
    place.current?.querySelector("button")?.focus();
  };
  useEffect(() => {
    if (!open) return;
    const outside = (event: Event): void => {
      if (event.target instanceof Node && !place.current?.contains(event.target)) set(false);
    };
    addEventListener("pointerdown", outside);
    addEventListener("focusin", outside);
    return () => {
      removeEventListener("pointerdown", outside);
      removeEventListener("focusin", outside);
    };
  }, [open]);
  return (
    <span
      class="pivot"
      ref={place}
      onKeyDown={(event) => {
        if (event.key === "Escape" && open) {
          event.stopPropagation();
          close();
        }
      }}
    >
      <button type="button" class="value" aria-expanded={open} title={plain(value)} onClick={() => set(!open)}>
        {label ? <Shown text={label} /> : <ValueText column={column} value={value} />}
      </button>
      {open && <Others column={column} value={value} below={place.current!} {...(view && { view })} />}
    </span>
  );
}

function Others({ column, value, below, view }: { column: string; value: string; below: HTMLElement; view?: View }) {
  const [answer, set] = useState<Answer | Error>();
  const box = useRef<HTMLDivElement>(null);
  useLayoutEffect(() => {
    const shown = box.current!;
    shown.showPopover(); // above everything, whatever scrolls or cuts around it
    const at = below.getBoundingClientRect();
    const { offsetWidth: wide, offsetHeight: tall } = shown;
    const left = Math.max(8, Math.min(at.left, document.documentElement.clientWidth - wide - 8));
    const top = at.bottom + tall + 8 < innerHeight || at.top < tall ? at.bottom + 4 : at.top - tall - 4;
    Object.assign(shown.style, { left: `${left + scrollX}px`, top: `${top + scrollY}px` });
  }, [answer]);
  useEffect(() => {
    const calling = new AbortController();
    query(seen(column, value), calling.signal).then(set, (error) => calling.signal.aborted || set(told(error)));
    return () => calling.abort();
  }, []);
  const filter: Filter = { column, value, not: false };
  return (
    <div class="popover" popover="manual" ref={box} role="group" aria-label={`${known(column).label}: others with this value`}>
      <h3>{known(column).label}</h3>
      <p class="full">
        <Shown text={value} />
      </p>
      {answer === undefined && <p class="dim">Looking…</p>}
      {answer instanceof Error && <ProblemBox problem={told(answer)} />}
      {answer && !(answer instanceof Error) && <Facts answer={answer} />}
      <div class="ways">
        {view && <a href={formatView(filtered(view, filter))}>+ Only these</a>}
        {view && <a href={formatView(filtered(view, { ...filter, not: true }))}>− Without these</a>}
        <a href={formatView(filtered(EVERYTHING, filter))}>All others with this value</a>
        {REACHES[column] && <a href={`#/blast?${new URLSearchParams({ what: REACHES[column], value })}`}>What it reached</a>}
        <button type="button" onClick={() => void navigator.clipboard?.writeText(value)}>
          Copy
        </button>
      </div>
    </div>
  );
}

function Facts({ answer }: { answer: Answer }) {
  const [n, first, last, firstSeq, lastSeq, trouble] = answer.rows[0] ?? [];
  if (!n) return <p class="dim">No action has it any more.</p>;
  return (
    <dl class="seen">
      <dt>Actions</dt>
      <dd>
        {count(Number(n))}
        {Number(trouble) > 0 && <span class="dim"> · {count(Number(trouble))} denied or failed</span>}
      </dd>
      <dt>First seen</dt>
      <dd>
        <a href={`#/record/${firstSeq}`}>
          <Time at={String(first)} />
        </a>
      </dd>
      <dt>Last seen</dt>
      <dd>
        <a href={`#/record/${lastSeq}`}>
          <Time at={String(last)} />
        </a>
      </dd>
    </dl>
  );
}

/** What a person or a hash is called where room is scarce. */
export const named = (column: string, value: string): string => (/^[0-9a-f]{64}$/.test(value) && column !== "action_id" ? short(value) : value);
