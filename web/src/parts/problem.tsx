import type { Problem } from "../api";
import { Shown } from "../text";

/** A refusal in the ledger's own words, and the way on. */
export function ProblemBox({ problem, again }: { problem: Problem; again?: () => void }) {
  return (
    <div class="problem" role="alert">
      <strong>
        <Shown text={problem.title} />
      </strong>
      <p>
        <Shown text={problem.message} lines />
      </p>
      <footer>
        {problem.code && <code>{problem.code}</code>}
        {again && (
          <button type="button" onClick={again}>
            Try again
          </button>
        )}
      </footer>
    </div>
  );
}
