import type { ComponentChildren } from "preact";

/** A column's head: its label, or more of it. */
export type Column = string | { label: string; n?: true; title?: string };

/** A table of rows, each cell of which says its own label where it is narrow (`data-label`). */
export function Table({ columns, children }: { columns: readonly Column[]; children: ComponentChildren }) {
  return (
    <div class="table">
      <table>
        <thead>
          <tr>
            {columns.map((each) => {
              const { label, n, title } = typeof each === "string" ? { label: each } : each;
              return (
                <th key={label} scope="col" class={n && "n"} title={title}>
                  {label}
                </th>
              );
            })}
          </tr>
        </thead>
        <tbody>{children}</tbody>
      </table>
    </div>
  );
}
