import type { Cell } from "../api";
import { COUNTED, known } from "../columns";
import { VALUES } from "../sql";
import { count, plain } from "../text";
import { filtered, formatView, unfiltered, type View } from "../view";
import { named, ValueText } from "./pivot";

export type Counts = Map<string, [value: string | null, count: number][]>;

export function countsOf(rows: Cell[][]): Counts {
  const counts: Counts = new Map();
  for (const [what, value, n] of rows) {
    const of = counts.get(String(what)) ?? [];
    of.push([value === null || value === undefined ? null : String(value), n === null ? 0 : Number(n)]);
    counts.set(String(what), of);
  }
  return counts;
}

/** The values that occur, how often, and a way to keep or leave out each. */
export function Facets({ view, counts }: { view: View; counts: Counts | undefined }) {
  return (
    <aside class="facets" aria-label="Values and counts">
      {COUNTED.map((name) => (
        <Values key={name} name={name} view={view} values={counts?.get(name)} />
      ))}
    </aside>
  );
}

function Values({ name, view, values }: { name: string; view: View; values: [string | null, number][] | undefined }) {
  const { label } = known(name);
  if (values && values.every(([value]) => value === null)) return null;
  const most = Math.max(1, ...(values ?? []).map(([, n]) => n));
  return (
    <section>
      <h3>{label}</h3>
      {!values && <div class="waiting" />}
      <ul>
        {values?.slice(0, VALUES).map(([value, n]) => {
          const chosen = view.filters.find((each) => each.column === name && each.value === value && !each.not);
          const only = chosen ? unfiltered(view, chosen) : filtered(view, { column: name, value, not: false });
          const said = value === null ? "nothing" : plain(value);
          return (
            <li key={value ?? ""} class={chosen ? "chosen" : ""}>
              <a class="keep" href={formatView(only)} title={`${chosen ? "No longer only" : "Only"} ${said}`}>
                <span class="bar" style={{ width: `${(n / most) * 100}%` }} />
                <span class="what">{value === null ? <em>nothing</em> : <ValueText column={name} value={named(name, value)} />}</span>
                <span class="n">{count(n)}</span>
              </a>
              <a class="drop" href={formatView(filtered(view, { column: name, value, not: true }))} aria-label={`Without ${label}: ${said}`} title="Without these">
                −
              </a>
            </li>
          );
        })}
      </ul>
      {values && values.length > VALUES && <p class="dim more">and more: choose, or search</p>}
    </section>
  );
}
