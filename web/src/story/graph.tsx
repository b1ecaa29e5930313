// Boxes and what leads from one to another, left to right. The boxes are links of the page itself, so that their names are cut and read as text is.

import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";

export const BOX = { wide: 196, tall: 50, across: 84, down: 16 };

export interface Node {
  id: string;
  column: number;
  row: number;
  href: string;
  tone: string;
  body: ComponentChildren;
}
export interface Edge {
  id: string;
  from: string;
  to: string;
  tone: string; // a class: each has its own stroke
  label: string;
}

interface Props {
  nodes: Node[];
  edges: Edge[];
  label: string;
  detail: (chosen: { node?: string; edge?: string }) => ComponentChildren;
}

/** The picture; what is pointed at or has the focus is told in full below it, and all that does not touch it steps back. */
export function Graph({ nodes, edges, label, detail }: Props) {
  const [chosen, choose] = useState<{ node?: string; edge?: string }>({});
  const places = new Map(nodes.map((node) => [node.id, { x: node.column * (BOX.wide + BOX.across), y: node.row * (BOX.tall + BOX.down) }]));
  const wide = Math.max(...nodes.map(({ column }) => column)) * (BOX.wide + BOX.across) + BOX.wide;
  const tall = Math.max(...nodes.map(({ row }) => row)) * (BOX.tall + BOX.down) + BOX.tall;
  const lit = (edge: Edge): boolean => edge.id === chosen.edge || edge.from === chosen.node || edge.to === chosen.node;
  const near = new Set(edges.filter(lit).flatMap(({ from, to }) => [from, to]));
  const any = chosen.node !== undefined || chosen.edge !== undefined;
  return (
    <figure class="graph" aria-label={label}>
      <div class="scroll" tabIndex={0} role="group" aria-label={`${label}; the table below has the same`}>
        <div class={`canvas ${any ? "chosen" : ""}`} style={{ width: `${wide}px`, height: `${tall}px` }}>
          <svg width={wide} height={tall} aria-hidden="true">
            {edges.map((edge) => {
              const [from, to] = [places.get(edge.from), places.get(edge.to)];
              if (!from || !to) return null;
              const path = curve(from.x + BOX.wide, from.y + BOX.tall / 2, to.x, to.y + BOX.tall / 2);
              return (
                <g key={edge.id} class={`edge ${edge.tone} ${lit(edge) ? "lit" : ""}`} onPointerEnter={() => choose({ edge: edge.id })}>
                  <path class="hit" d={path} />
                  <path class="line" d={path} />
                  <path class="head" d={`M${to.x - 7} ${to.y + BOX.tall / 2 - 4}l7 4l-7 4Z`} />
                </g>
              );
            })}
          </svg>
          {nodes.map((node) => {
            const { x, y } = places.get(node.id)!;
            const at = { left: `${x}px`, top: `${y}px`, width: `${BOX.wide}px`, height: `${BOX.tall}px` };
            const how = `box ${node.tone} ${node.id === chosen.node ? "here" : near.has(node.id) ? "near" : ""}`;
            const heard = { onFocus: () => choose({ node: node.id }), onPointerEnter: () => choose({ node: node.id }) };
            return (
              <a key={node.id} class={how} style={at} href={node.href} {...heard}>
                {node.body}
              </a>
            );
          })}
        </div>
      </div>
      <div class="detail">{detail(chosen)}</div>
    </figure>
  );
}

function curve(x1: number, y1: number, x2: number, y2: number): string {
  const bend = Math.max(Math.abs(x2 - x1) / 2, 40);
  return `M${x1} ${y1}C${x1 + bend} ${y1} ${x2 - bend} ${y2} ${x2 - 4} ${y2}`;
}

/** A column for each node, right of all that leads to it, and rows such that lines run short; in the order in which the nodes are given, which is that of time. */
export function layered(ids: string[], edges: readonly (readonly [string, string])[]): Map<string, { column: number; row: number }> {
  const before = new Map<string, string[]>(ids.map((id) => [id, []]));
  const order = new Map(ids.map((id, at) => [id, at]));
  for (const [from, to] of edges) if (order.get(from)! < order.get(to)!) before.get(to)?.push(from);
  const places = new Map<string, { column: number; row: number }>();
  const taken: Set<number>[] = [];
  for (const id of ids) {
    const leading = before.get(id)!.map((each) => places.get(each)!);
    const column = Math.max(-1, ...leading.map((each) => each.column)) + 1;
    const rows = (taken[column] ??= new Set());
    const wished = leading.length ? Math.round(leading.reduce((sum, each) => sum + each.row, 0) / leading.length) : 0;
    let row = wished;
    for (let off = 0; rows.has(row); off += 1) row = off % 2 === 0 ? wished + off / 2 + 1 : Math.max(0, wished - (off + 1) / 2);
    rows.add(row);
    places.set(id, { column, row });
  }
  return places;
}
