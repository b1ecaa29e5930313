import { useState } from "preact/hooks";
import type { Described, Table } from "../schema";
import { Shown } from "../text";

/** What a statement may name: tables, their columns, what each means. A click writes the name at the cursor. */
export function Tables({ tables, write }: { tables: readonly Table[]; write: (name: string) => void }) {
  const [sought, seek] = useState("");
  const words = sought.toLowerCase().split(/\s+/).filter(Boolean);
  const fits = ({ name, about, term }: Described): boolean => words.every((word) => `${name} ${about} ${term}`.toLowerCase().includes(word));
  return (
    <aside class="tables" aria-label="Tables and columns">
      <input type="search" aria-label="Find a column" placeholder="Find a column" value={sought} spellcheck={false} onInput={(event) => seek(event.currentTarget.value)} />
      {tables.map((table) => {
        const found = words.length ? table.columns.filter(fits) : table.columns;
        return found.length > 0 && <OneTable key={table.name} table={table} columns={found} open={words.length > 0} write={write} />;
      })}
    </aside>
  );
}

function OneTable({ table, columns, open, write }: { table: Table; columns: Described[]; open: boolean; write: (name: string) => void }) {
  const [opened, set] = useState(false);
  const shown = open || opened;
  return (
    <details open={shown} onToggle={(event) => !open && set(event.currentTarget.open)}>
      <summary title={table.answers}>
        <code>{table.name}</code> <small>{columns.length}</small>
      </summary>
      {shown && (
        <>
          <p class="dim small">
            {table.answers}{" "}
            <button type="button" class="quiet" onClick={() => write(table.name)}>
              write its name
            </button>
          </p>
          <ul>
            {columns.map(({ name, type, kind, about, term, values }) => (
              <li key={name}>
                <button type="button" class="value" title={[about, term && `Term: ${term}`, values.length > 0 && `One of: ${values.join(", ")}`].filter(Boolean).join("\n")} onClick={() => write(name === "time" ? '"time"' : name)}>
                  <code>
                    <Shown text={name} />
                  </code>
                </button>
                <small>{kind === "content" || kind === "person" ? kind : type.startsWith("TIMESTAMP") ? "time" : type.replace(/\(.*/s, "").toLowerCase()}</small>
              </li>
            ))}
          </ul>
        </>
      )}
    </details>
  );
}
