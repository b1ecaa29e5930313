import { useMemo } from "preact/hooks";
import { count, Shown, short } from "../text";
import { type Row, text } from "./ask";
import { Graph, type Edge, type Node } from "./graph";
import { sessionAt } from "../view";
import { many, some } from "./step";

const BOXES = 60;
const MOST_DEEP = 12; // what is deeper is not moved further to the right

/** Somebody in whose name others act, or an action that set off others; with what it did itself. */
interface Party {
  id: string;
  kind: "person" | "actor" | "agent" | "call";
  name: string;
  known: string;
  teller: string; // the credential whose records say so
  first: number;
  own: Row[];
  below: Map<string, Party>;
  depth: number;
}

const KINDS: Readonly<Record<Party["kind"], string>> = { person: "person", actor: "acts for it", agent: "agent", call: "set off by" };

/** Who acted for whom, as the records say it: the person, the chain of actors, the agent, and what its actions set off. */
export function Delegation({ rows, start }: { rows: Row[]; start?: number }) {
  const parties = useMemo(() => listed(treeOf(rows)), [rows]);
  if (rows.length === 0) {
    return (
      <div class="nothing">
        <h2>No action</h2>
        <p class="dim">Nothing that agents did belongs to this entry.</p>
      </div>
    );
  }
  const drawn = parties.slice(0, BOXES);
  const several = new Set(rows.map((row) => row.submitter)).size > 1;
  return (
    <section class="delegation" aria-label="Delegation">
      <Picture parties={drawn} several={several} {...(start !== undefined && { start })} />
      {parties.length > drawn.length && <p class="warn">and {count(parties.length - drawn.length)} more, in the table</p>}
      <div class="table">
        <table>
          <thead>
            <tr>
              {["Who", "What", "Known from", ...(several ? ["Told by"] : []), "Actions", "Denied", "Failed", "With", "First"].map((name) => (
                <th key={name} scope="col">
                  {name}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {parties.map((party) => (
              <tr key={party.id} class={trouble(party).denied ? "trouble" : ""}>
                <td class="who" data-label="Who">
                  <span style={{ paddingInlineStart: `${Math.min(party.depth, MOST_DEEP) * 1.1}rem` }} class="name">
                    {party.depth > 0 && <span class="dim">↳ </span>}
                    <Shown text={nameOf(party)} />
                  </span>
                </td>
                <td data-label="What">{KINDS[party.kind]}</td>
                <td data-label="Known from">
                  <Shown text={party.known} />
                </td>
                {several && (
                  <td data-label="Told by" class="name">
                    <Shown text={party.teller} />
                  </td>
                )}
                <td data-label="Actions">{count(party.own.length)}</td>
                <td data-label="Denied">{count(trouble(party).denied)}</td>
                <td data-label="Failed">{count(trouble(party).failed)}</td>
                <td data-label="With" class="name">
                  <Shown text={some(toolsOf(party), 5)} />
                </td>
                <td data-label="First">
                  <a href={`#/record/${party.first}`}>record {party.first}</a>
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      <p class="dim small">The chain is what the records say. Only a token that a server checked proves whom an agent acted for. What one submitter's record names as its cause is looked for among that submitter's own.</p>
    </section>
  );
}

function Picture({ parties, several, start }: { parties: Party[]; several: boolean; start?: number }) {
  const rows = new Map<Party, number>();
  let leaf = 0;
  const shown = new Set(parties);
  const place = (party: Party): number => {
    const below = [...party.below.values()].filter((each) => shown.has(each)).map(place);
    const row = below.length ? below[0]! : leaf++;
    rows.set(party, row);
    return row;
  };
  for (const party of parties) if (party.depth === 0) place(party);
  const nodes = parties.map((party): Node => {
    const { denied, failed } = trouble(party);
    const here = party.own.some((row) => Number(row.seq) === start) || (party.kind === "call" && party.first === start);
    return {
      id: party.id,
      column: party.depth,
      row: rows.get(party)!,
      href: `#/record/${party.first}`,
      tone: `${party.kind} ${here ? "start" : ""}`,
      body: (
        <>
          <span class="top-line">
            <b class={party.kind === "person" ? "" : "name"}>
              <Shown text={nameOf(party)} />
            </b>
            {denied > 0 && <span class="tag bad">{count(denied)} denied</span>}
            {failed > 0 && <span class="tag bad">{count(failed)} failed</span>}
          </span>
          <span class="sub">
            {party.own.length > 0 ? many(party.own.length, "action") : KINDS[party.kind]}
            {several && party.depth === 0 && [", told by ", <Shown key="teller" text={party.teller} />]}
          </span>
        </>
      ),
    };
  });
  const edges = parties.flatMap((party) => [...party.below.values()].filter((each) => shown.has(each)).map((each): Edge => ({ id: `${party.id} ${each.id}`, from: party.id, to: each.id, tone: "declared", label: "" })));
  return (
    <Graph
      nodes={nodes}
      edges={edges}
      label="Delegation, from the person to the agents"
      detail={({ node }) => {
        const party = parties.find(({ id }) => id === node);
        if (!party) return <p class="dim">From the person on the left to whoever acted in the end. Point at a box, or go through them with Tab; Enter opens its first record.</p>;
        const sessions = [...new Set(party.own.map((row) => text(row, "session_id")).filter((id) => id !== null))];
        return (
          <p>
            <b class="name">
              <Shown text={party.name} />
            </b>{" "}
            {KINDS[party.kind]}, known from <Shown text={party.known} />
            {party.own.length > 0 && (
              <>
                {" · "}
                {many(party.own.length, "action")} with <Shown text={some(toolsOf(party), 6)} />
                {sessions.length > 0 && " in "}
                {sessions.slice(0, 3).map((id) => (
                  <a key={id} href={sessionAt(id, party.teller)} class="name">
                    <Shown text={short(id, 24)} />
                  </a>
                ))}
                {sessions.length > 3 && ` and ${count(sessions.length - 3)} more`}
              </>
            )}
          </p>
        );
      }}
    />
  );
}

const toolsOf = ({ own }: Party): string[] => [...new Set(own.map((row) => text(row, "tool_name") ?? "no tool"))];
const nameOf = (party: Party): string => (/^[0-9a-f]{64}$/.test(party.name) ? short(party.name) : party.name);

function trouble({ own }: Party): { denied: number; failed: number } {
  return {
    denied: own.filter((row) => row.denied === true).length,
    failed: own.filter((row) => row.failed === true).length,
  };
}

function treeOf(rows: Row[]): Map<string, Party> {
  const key = (row: Row, kind: string, id: string): string => JSON.stringify([row.submitter, kind, id]);
  const found = new Map<string, Row>();
  for (const row of rows) {
    if (text(row, "action_id") !== null) found.set(key(row, "action", text(row, "action_id")!), row);
    if (text(row, "span") !== null) found.set(key(row, `span ${text(row, "trace")}`, text(row, "span")!), row);
  }
  const causeOf = (row: Row): { row: Row; known: string } | undefined => {
    const [action, span] = [text(row, "parent_action"), text(row, "parent_span")];
    const by = action === null ? undefined : found.get(key(row, "action", action));
    if (by && by !== row) return { row: by, known: "trace.parent_action_id" };
    const above = span === null ? undefined : found.get(key(row, `span ${text(row, "trace")}`, span));
    return above && above !== row ? { row: above, known: "the span above" } : undefined;
  };
  const roots = new Map<string, Party>();
  const calls = new Map<Row, Party>();
  let parties = 0;
  const party = (into: Map<string, Party>, above: Party | undefined, kind: Party["kind"], name: string, known: string, row: Row): Party => {
    const teller = String(row.submitter);
    const place = key(row, kind, name); // what one credential told never counts for what another did
    const is = into.get(place) ?? { id: String((parties += 1)), kind, name, known, teller, first: Number(row.seq), own: [], below: new Map(), depth: above ? above.depth + 1 : 0 };
    into.set(place, is);
    return is;
  };
  const agentOf = (row: Row, through: readonly Row[]): Party => {
    const cause = causeOf(row);
    let at: Party;
    if (cause && !through.includes(cause.row)) at = callOf(cause.row, cause.known, [...through, row]);
    else {
      const [principal, user] = [text(row, "principal"), text(row, "user")];
      const source = text(row, "principal_source");
      at = party(roots, undefined, "person", principal ?? user ?? "nobody named", principal ? `identity.principal${source ? `, by ${source}` : ""}` : user ? "request.user" : "nothing tells", row);
      for (const actor of actorsOf(row)) if (actor !== text(row, "agent")) at = party(at.below, at, "actor", actor, "identity.actors", row);
      const unknown = text(row, "parent_action");
      if (unknown !== null && unknown !== text(row, "action_id") && !cause) at = party(at.below, at, "call", `action ${unknown}`, "trace.parent_action_id; nothing here tells of it", row);
    }
    const agent = text(row, "agent") ?? "no agent named";
    return at.kind === "agent" && at.name === agent ? at : party(at.below, at, "agent", agent, "identity.agent_id", row);
  };
  const callOf = (row: Row, known: string, through: readonly Row[]): Party => {
    const is = calls.get(row);
    if (is) return is;
    const above = agentOf(row, through);
    const call = party(above.below, above, "call", `${text(row, "tool_name") ?? "no tool"} #${row.seq}`, known, row);
    call.first = Number(row.seq);
    calls.set(row, call);
    return call;
  };
  for (const row of rows) agentOf(row, [row]).own.push(row);
  return roots;
}

/** RFC 8693 has the current actor outermost: from the person's side they are told the other way round. */
function actorsOf(row: Row): string[] {
  const actors = Array.isArray(row.actors) ? row.actors : [];
  return actors
    .map((each) => (each !== null && typeof each === "object" && !Array.isArray(each) ? (each.sub ?? each.client_id ?? null) : each))
    .filter((name) => name !== null)
    .map(String)
    .reverse();
}

function listed(parties: Map<string, Party>): Party[] {
  return [...parties.values()].flatMap((party) => [party, ...listed(party.below)]);
}
