const WAYS = [
  ["#/ask", "SQL"],
  ["#/questions", "Named questions"],
  ["#/blast", "Blast radius"],
] as const;

/** The three ways to ask. */
export function AskNav({ here }: { here: (typeof WAYS)[number][0] }) {
  return (
    <nav class="ways-to-ask" aria-label="Ways to ask">
      {WAYS.map(([address, name]) => (
        <a key={address} href={address} aria-current={address === here ? "page" : undefined}>
          {name}
        </a>
      ))}
    </nav>
  );
}
