import { useState } from "preact/hooks";
import { LASTS, parseInstant, type Range } from "../view";

/** The time range that everything on the page is bound to. */
export function RangeChoice({ range, chosen }: { range: Range; chosen: (range: Range) => void }) {
  const own = !("last" in range) && (range.from !== null || range.to !== null);
  const [typing, set] = useState(false);
  const [wrong, complain] = useState("");
  const now = "last" in range ? range.last : own || typing ? "own" : "all";
  const submitted = (event: SubmitEvent): void => {
    event.preventDefault();
    const given = new FormData(event.currentTarget as HTMLFormElement);
    const [from, to] = ["from", "to"].map((name) => String(given.get(name) ?? "").trim()) as [string, string];
    const parsed = { from: parseInstant(from), to: parseInstant(to) };
    const bad = (from && !parsed.from) || (to && !parsed.to);
    complain(bad ? "Write 2026-11-21 or 2026-11-21 09:30, in UTC." : "");
    if (!bad) chosen(parsed);
  };
  return (
    <div class="range">
      <select
        aria-label="Time range"
        value={now}
        onChange={(event) => {
          const value = event.currentTarget.value;
          set(value === "own");
          if (value === "all") chosen({ from: null, to: null });
          else if (value !== "own") chosen({ last: value });
        }}
      >
        <option value="all">All time</option>
        {Object.entries(LASTS).map(([name, { label }]) => (
          <option key={name} value={name}>
            {label}
          </option>
        ))}
        <option value="own">From … to …</option>
      </select>
      {(own || typing) && (
        <form onSubmit={submitted} key={"last" in range ? "" : `${range.from}${range.to}`}>
          <input name="from" aria-label="From, UTC" placeholder="from" defaultValue={shown(range, "from")} />
          <span aria-hidden="true">–</span>
          <input name="to" aria-label="Until, UTC" placeholder="until" defaultValue={shown(range, "to")} />
          <button type="submit">Set</button>
          {wrong && (
            <span class="wrong" role="alert">
              {wrong}
            </span>
          )}
        </form>
      )}
    </div>
  );
}

const shown = (range: Range, end: "from" | "to"): string => {
  const at = "last" in range ? null : range[end];
  return at === null ? "" : at.replace("T", " ").replace(/(\.\d+)?Z$/, "");
};
