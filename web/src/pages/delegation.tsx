import { useLoaded } from "../hooks";
import type { PageProps } from "../pages";
import { ProblemBox } from "../parts/problem";
import { delegatedFrom, rowsOf, STEPS_AT_ONCE } from "../story/ask";
import { Delegation } from "../story/delegation";
import { count } from "../text";

/** Who acted for whom around one record: in its session, and in its trace whoever wrote it. */
export function RecordDelegation({ at }: PageProps) {
  const seq = Number(at[0]);
  const found = useLoaded(`delegation ${seq}`, (signal) => rowsOf(delegatedFrom(seq), signal));
  return (
    <main class="page story">
      <a class="back" href={`#/record/${seq}`}>
        ← Record {seq}
      </a>
      <h1>Who acted for whom</h1>
      <p class="dim">All actions of its session, and of its trace whoever wrote them; with what set them off, and what they set off elsewhere.</p>
      {found.problem && <ProblemBox problem={found.problem} again={found.again} />}
      {!found.value && !found.problem && <p class="dim">Reading…</p>}
      {found.value?.next !== undefined && <p class="warn">Of the first {count(STEPS_AT_ONCE)} actions; there are more.</p>}
      {found.value && <Delegation rows={found.value.rows} start={Number(found.value.rows[0]?.start ?? seq)} />}
    </main>
  );
}
