// The tree (RFC 6962, RFC 9162): roots of what was read, inclusion (2.1.3.2), consistency (2.1.4.2).

import { hex, refuse, same } from "./bytes";
import type { Checkpoint } from "./note";
import { sha256, tagged } from "./sha256";

export const leafOf = (entry: Uint8Array): Uint8Array => tagged(0, entry);
export const nodeOf = (left: Uint8Array, right: Uint8Array): Uint8Array => tagged(1, left, right);

interface Subtree {
  level: number;
  hash: Uint8Array;
}

/** The complete subtrees over what was appended, from the largest to the smallest: all that a root needs. */
export class Frontier {
  private readonly parts: Subtree[] = [];
  size = 0;

  append(hash: Uint8Array): void {
    this.size += 1;
    let level = 0;
    while (this.parts.at(-1)?.level === level) {
      hash = nodeOf(this.parts.pop()!.hash, hash);
      level += 1;
    }
    this.parts.push({ level, hash });
  }

  root(): Uint8Array {
    if (!this.parts.length) return sha256(new Uint8Array(0));
    return this.parts.map(({ hash }) => hash).reduceRight((right, left) => nodeOf(left, right));
  }

  copy(): Frontier {
    const made = new Frontier();
    made.size = this.size;
    made.parts.push(...this.parts);
    return made;
  }

  nodes(): string[] {
    return this.parts.map(({ hash }) => hex(hash));
  }

  static of(size: number, nodes: Uint8Array[]): Frontier {
    const made = new Frontier();
    made.size = size;
    const levels = [...size.toString(2)].map((bit, at, bits) => (bit === "1" ? bits.length - 1 - at : -1)).filter((level) => level >= 0);
    if (levels.length !== nodes.length) refuse("it is no tree of that size");
    levels.forEach((level, at) => made.parts.push({ level, hash: nodes[at]! }));
    return made;
  }
}

export const rootOf = (leaves: Uint8Array[]): Uint8Array => {
  const all = new Frontier();
  for (const each of leaves) all.append(each);
  return all.root();
};

/** One step of a proof: the hash beside, on which side it stands, and what both give. */
export interface Step {
  beside: Uint8Array;
  left: boolean;
  gives: Uint8Array;
}

/** The way from a leaf to the root, each step computed; refused where it does not lead there. Sizes stay below 2^53, so division takes the place of shifts. */
export function included(leaf: Uint8Array, index: number, { size, root }: Checkpoint, proof: Uint8Array[]): Step[] {
  if (index >= size) refuse("the log of the checkpoint does not reach so far");
  let fn = index;
  let sn = size - 1;
  let hash = leaf;
  const steps: Step[] = [];
  for (const beside of proof) {
    if (sn === 0) refuse("its proof is too long");
    const left = fn % 2 === 1 || fn === sn;
    hash = left ? nodeOf(beside, hash) : nodeOf(hash, beside);
    steps.push({ beside, left, gives: hash });
    if (left) {
      while (fn % 2 === 0 && fn !== 0) {
        fn = half(fn);
        sn = half(sn);
      }
    }
    fn = half(fn);
    sn = half(sn);
  }
  if (sn !== 0 || !same(hash, root)) refuse("its proof does not lead to the root of the checkpoint");
  return steps;
}

/** The root that the tree of `now` had at an earlier size, which the proof shows; refused where it shows none. */
export function rootBefore(size: number, now: Checkpoint, proof: Uint8Array[], claimed: Uint8Array): Uint8Array {
  if (size <= 0 || size > now.size) refuse("the checkpoint does not cover that size");
  if (size === now.size) return proof.length ? refuse("its proof is too long") : now.root;
  const whole = Number.isInteger(Math.log2(size)); // a complete tree stands in the newer one as it is
  const path = whole ? [claimed, ...proof] : proof;
  let fn = size - 1;
  let sn = now.size - 1;
  while (fn % 2 === 1) {
    fn = half(fn);
    sn = half(sn);
  }
  let old = path[0] ?? refuse("its proof is too short");
  let root = old;
  for (const each of path.slice(1)) {
    if (sn === 0) refuse("its proof is too long");
    if (fn % 2 === 1 || fn === sn) {
      old = nodeOf(each, old);
      root = nodeOf(each, root);
      while (fn % 2 === 0 && fn !== 0) {
        fn = half(fn);
        sn = half(sn);
      }
    } else root = nodeOf(root, each);
    fn = half(fn);
    sn = half(sn);
  }
  if (sn !== 0 || !same(root, now.root)) refuse("its proof does not lead to the root of the checkpoint");
  return old;
}

const half = (number: number): number => Math.floor(number / 2);
