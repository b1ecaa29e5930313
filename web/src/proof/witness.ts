// A witness's line in a checkpoint. Which key is his this browser has from the ledger alone: it remembers what it was told first.

import { refuse } from "./bytes";
import { meet, SAID } from "./memory";
import { cosignedAt, type Note, parseWitnessKey } from "./note";

export interface Cosigned {
  at: number | null; // in seconds since 1970; null where he did not
  since: string; // when this browser met his key
}

export async function cosigned(origin: string, note: Note, { name, key }: { name: string; key: string }): Promise<Cosigned> {
  if (name.length + key.length > SAID) refuse("its name or key is too long");
  const parsed = await parseWitnessKey(key);
  const { key: first, since } = meet(origin, name, key);
  if (first !== key) refuse(`this ledger named another key of this witness before: ${first}, first seen ${since}; now it is ${key}`);
  return { at: await cosignedAt(note, parsed), since };
}
