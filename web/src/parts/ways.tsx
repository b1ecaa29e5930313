import type { ComponentChildren } from "preact";
import type { Who } from "../api";
import { Shown } from "../text";

export interface Way {
  to: string;
  name: string;
  needs: string;
  says: string; // what it is for
}

/** The pages for daily work, in the order in which a day goes. */
export const WAYS: readonly Way[] = [
  { to: "#/live", name: "Live", needs: "read", says: "Records as they come, filtered, paused, each a link." },
  { to: "#/health", name: "Health", needs: "query", says: "Each source: its last number, gaps, lag, clock, and how old its credential is." },
  { to: "#/alerts", name: "Alerts", needs: "read", says: "What the standing rules found, and whether it was delivered." },
  { to: "#/cases", name: "Cases", needs: "query", says: "Notes on what was found, each a record of the log." },
  { to: "#/erasure", name: "Erasure", needs: "upkeep", says: "A person, entries, what a query gives: shown first, then gone for good." },
  { to: "#/access", name: "Access", needs: "access", says: "Who may do what, since when, until when; revoke." },
];

/** The head of a page of work: where it is, the ways to its neighbours, its title. */
export function Head({ here, title, who, children }: { here: string; title: string; who: Who; children?: ComponentChildren }) {
  return (
    <header class="head">
      <nav class="tabs" aria-label="Work">
        <a href="#/work" aria-current={here === "#/work" ? "page" : undefined}>
          Overview
        </a>
        {WAYS.filter((each) => who.permits.includes(each.needs)).map((each) => (
          <a key={each.to} href={each.to} aria-current={each.to === here ? "page" : undefined}>
            {each.name}
          </a>
        ))}
      </nav>
      <h1>
        <Shown text={title} />
      </h1>
      {children && <p class="dim lead">{children}</p>}
    </header>
  );
}

export function Pill({ text, tone = "" }: { text: string; tone?: "" | "good" | "bad" | "warn" }) {
  return (
    <span class={`pill ${tone}`}>
      <Shown text={text} />
    </span>
  );
}

export const None = () => <span class="none">–</span>;

/** A machine's name, or that there is none. */
export function Name({ text }: { text: string | null | undefined }) {
  if (text === null || text === undefined || text === "") return <None />;
  return (
    <span class="name">
      <Shown text={text} />
    </span>
  );
}
