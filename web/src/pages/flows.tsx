import { useLoaded } from "../hooks";
import type { PageProps } from "../pages";
import { ProblemBox } from "../parts/problem";
import { FLOWS_AT_ONCE, reach, REACH, rowsOf } from "../story/ask";
import { Flows } from "../story/flows";
import { count } from "../text";

/** What went into one record, and on from it, several steps each way. */
export function RecordFlows({ at, who }: PageProps) {
  const seq = Number(at[0]);
  const found = useLoaded(`reach ${seq}`, (signal) => rowsOf(reach(seq), signal));
  const start = found.value?.rows[0]?.start;
  return (
    <main class="page story">
      <a class="back" href={`#/record/${seq}`}>
        ← Record {seq}
      </a>
      <h1>What went into it, and on from it</h1>
      <p class="dim">Results whose words stand in its arguments, what went into those, and the same onward from its own result, up to {REACH} steps each way. What the user had named is left out.</p>
      {found.problem && <ProblemBox problem={found.problem} again={found.again} />}
      {!found.value && !found.problem && <p class="dim">Comparing words…</p>}
      {found.value?.next !== undefined && <p class="warn">The first {count(FLOWS_AT_ONCE)} flows; there are more.</p>}
      {found.value && <Flows rows={found.value.rows} start={start === undefined ? seq : Number(start)} who={who} />}
    </main>
  );
}
