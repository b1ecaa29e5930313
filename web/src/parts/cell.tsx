import { useRef, useState } from "preact/hooks";
import type { Cell, Who } from "../api";
import { BY_NAME } from "../columns";
import { isNumber } from "../chart";
import { plain, pretty, Shown, short, Time } from "../text";
import { named, Pivot } from "./pivot";

const CUT = 120;
const PLACE = /(^|_)seq$/;
const COUNTER = "source_seq"; // a source's own, but beside what a result came from
const PLACES = /(^|_)seqs$/;
const MOST_PLACES = 12;
const COMMITMENT = /^[0-9a-f]{64}$/;
/** What the named questions call what `actions` calls otherwise. */
const CALLED: Readonly<Record<string, string>> = {
  principal: "identity_principal",
  requested_by: "request_user",
  conversation_id: "request_conversation_id",
  agent_name: "identity_agent_name",
  server: "tool_server",
  effect: "tool_effect",
  destination: "resource_destination",
};
const WITHHELD: ReadonlySet<string> = new Set([
  "request_user", "identity_principal", "approval_approver", "request_text", "tool_arguments", "decision_reason", "decision_prompt", "decision_output", "policy_input", "approval_shown", "outcome_result",
]);

/** The columns of an answer whose numbers are places in the log. */
export function placesOf(columns: readonly { name: string }[]): ReadonlySet<string> {
  const names = new Set(columns.map(({ name }) => name));
  const flow = names.has("source_tool") || names.has("sink_seq");
  return new Set([...names].filter((name) => PLACE.test(name) && (name !== COUNTER || flow)));
}

interface Shape {
  column: { name: string; type: string };
  place: boolean;
  value: Cell;
  commitment: string | undefined;
  who: Who;
}

/** A value of an answer: a record to open, a value to follow, a time, or text. */
export function CellValue({ column: { name, type }, place, value, commitment, who }: Shape) {
  if (value === null) return <Nothing name={name} commitment={commitment} who={who} />;
  if (place && isPlace(value)) return <Opens seq={value} />;
  if (PLACES.test(name) && Array.isArray(value)) return <Places seqs={value} />;
  if (type.startsWith("TIMESTAMP") && typeof value === "string") return <Time at={value} />;
  const known = CALLED[name] ?? name;
  if (BY_NAME.has(known) && type === "VARCHAR" && typeof value === "string" && value.length <= 4 * CUT) {
    const label = named(known, value);
    return label === value ? <Pivot column={known} value={value} /> : <Pivot column={known} value={value} label={label} />;
  }
  const text = typeof value === "string" ? value : JSON.stringify(value);
  if (COMMITMENT.test(text)) return <code title={text}>{short(text)}</code>;
  if (text.length > CUT || text.includes("\n")) return <Long name={name} text={text} />;
  return (
    <span class={isNumber(type) ? "" : "name"}>
      <Shown text={text} />
    </span>
  );
}

const isPlace = (value: Cell): value is number => typeof value === "number" && Number.isSafeInteger(value) && value >= 0;

const Opens = ({ seq }: { seq: number }) => (
  <a class="name" href={`#/record/${seq}`}>
    {seq}
  </a>
);

function Places({ seqs }: { seqs: Cell[] }) {
  return (
    <span class="places">
      {seqs.slice(0, MOST_PLACES).map((seq, index) => (isPlace(seq) ? <Opens key={index} seq={seq} /> : null))}
      {seqs.length > MOST_PLACES && <span class="dim"> and {seqs.length - MOST_PLACES} more</span>}
    </span>
  );
}

/** NULL, and why where that is known. */
function Nothing({ name, commitment, who }: { name: string; commitment: string | undefined; who: Who }) {
  const hidden = WITHHELD.has(CALLED[name] ?? name) && !who.permits.includes("contents");
  if (commitment) {
    return (
      <span class="dim" title={`${hidden ? "Not for your role" : "Withheld or erased"}: what stays is its commitment ${commitment}`}>
        {hidden ? "not for your role" : "gone"} <code>{short(commitment, 8)}</code>
      </span>
    );
  }
  return hidden ? (
    <span class="none" title={`Contents and persons are not for your role: ${name}_commitment says whether there is one`}>
      NULL*
    </span>
  ) : (
    <span class="none">NULL</span>
  );
}

/** The beginning of a long text; the whole of it in a window. */
function Long({ name, text }: { name: string; text: string }) {
  const [open, set] = useState(false);
  const shown = useRef<HTMLDialogElement>(null);
  return (
    <>
      <button
        type="button"
        class="value name"
        aria-haspopup="dialog"
        title="Show all of it"
        onClick={() => {
          set(true);
          shown.current!.showModal();
        }}
      >
        <Shown text={`${[...text.slice(0, CUT)].slice(0, CUT - 1).join("")}…`} />
      </button>
      <dialog ref={shown} class="whole" aria-label={plain(name)} onClose={() => set(false)} onClick={(event) => event.target === shown.current && shown.current?.close()}>
        {open && (
          <>
            <header>
              <b class="name">
                <Shown text={name} />
              </b>
              <button type="button" onClick={() => void navigator.clipboard?.writeText(text)}>
                Copy
              </button>
              <button type="button" onClick={() => shown.current!.close()}>
                Close
              </button>
            </header>
            <pre class="text" tabIndex={0}>
              <Shown text={pretty(text)} lines />
            </pre>
          </>
        )}
      </dialog>
    </>
  );
}
